#!/bin/sh
# Fills /etc/nginx/templates/*.template from the environment into /etc/nginx/conf.d.
set -e
in=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
out=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
[ -d "$in" ] || exit 0
names=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1} /p' | tr -d '\n')
find "$in" -follow -type f -name "*$suffix" | while read -r template; do
	target=$out/${template#"$in"/}
	target=${target%"$suffix"}
	mkdir -p "$(dirname "$target")"
	envsubst "$names" < "$template" > "$target"
done
