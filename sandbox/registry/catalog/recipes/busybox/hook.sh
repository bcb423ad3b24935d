#!/bin/sh
# Makes of the extracted package ($1) the folder image: the static binary, its applets and the few files
# that the official image has.
set -eu
image=$1/image
install -d "$image/bin" "$image/dev" "$image/etc" "$image/home" "$image/proc" "$image/root" "$image/run" "$image/sys" \
	"$image/usr/bin" "$image/usr/sbin" "$image/var/spool/mail" "$image/var/www"
install -d -m 1777 "$image/tmp" "$image/var/tmp"
for deb in "$1"/var/cache/apt/archives/*.deb; do
	dpkg-deb --show --showformat '${Package}=${Version}\n' "$deb"
done > "$image/.packages"
cp -R "$(dirname "$0")/root/." "$image/"
chmod 600 "$image/etc/shadow"
cp -p "$(find "$1" -type f -name busybox -path '*/bin/*')" "$image/bin/busybox"
chroot "$image" /bin/busybox --list | while read -r name; do
	[ "$name" = busybox ] || ln "$image/bin/busybox" "$image/bin/$name"
done
ln -s /bin/env "$image/usr/bin/env"
