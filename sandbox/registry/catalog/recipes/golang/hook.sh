#!/bin/sh
# Puts Debian's Go where the official image has it ($1 is the root filesystem).
set -eu
root=$1
goroot=$(cd "$root" && echo usr/lib/go-1.*)
ln -s "/$goroot" "$root/usr/local/go"
install -d -m 1777 "$root/go" "$root/go/src" "$root/go/bin"
