#!/bin/sh
# The official image's user and entrypoint on Debian's Node.js ($1 is the root filesystem).
set -eu
root=$1
cp -R "$(dirname "$0")/root/." "$root/"
chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
chroot "$root" groupadd --gid 1000 node
chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
sed -i -E 's/^(node:[^:]*:)[0-9]*:/\120454:/' "$root/etc/shadow"
for name in node npm npx corepack; do
	if [ -e "$root/usr/bin/$name" ] && [ ! -e "$root/usr/local/bin/$name" ]; then
		ln -s "/usr/bin/$name" "$root/usr/local/bin/$name"
	fi
done
