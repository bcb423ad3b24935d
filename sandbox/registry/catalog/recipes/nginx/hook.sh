#!/bin/sh
# The official image's user, configuration and entrypoint on Debian's nginx ($1 is the root filesystem).
set -eu
root=$1
rm -rf "$root/etc/nginx/sites-enabled" "$root/etc/nginx/sites-available" "$root/etc/nginx/snippets" \
	"$root/etc/nginx/modules-enabled" "$root/var/www" "$root/etc/init.d/nginx" "$root/etc/ufw"
cp -R "$(dirname "$0")/root/." "$root/"
chmod 755 "$root/docker-entrypoint.sh" "$root"/docker-entrypoint.d/*
chroot "$root" groupadd --system --gid 101 nginx
chroot "$root" useradd --system --uid 101 --gid nginx --no-create-home --home-dir /nonexistent --shell /bin/false nginx
sed -i -E 's/^(nginx:[^:]*:)[0-9]*:/\120454:/' "$root/etc/shadow"
install -d "$root/var/cache/nginx" "$root/var/log/nginx"
ln -sf /dev/stdout "$root/var/log/nginx/access.log"
ln -sf /dev/stderr "$root/var/log/nginx/error.log"
