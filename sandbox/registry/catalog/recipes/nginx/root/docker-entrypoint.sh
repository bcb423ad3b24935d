#!/bin/sh
# Runs the scripts of /docker-entrypoint.d in order before nginx starts.
set -e
if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
	for script in $(find /docker-entrypoint.d/ -follow -type f | sort -V); do
		case $script in
		*.envsh) [ ! -x "$script" ] || . "$script" ;;
		*.sh) [ ! -x "$script" ] || "$script" ;;
		esac
	done
fi
exec "$@"
