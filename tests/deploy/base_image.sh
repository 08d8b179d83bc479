#!/usr/bin/env bash
# A base image for machines that cannot pull.
#
#   base_image.sh TAG FOLDER
#
# Where TAG can be pulled, it is. Elsewhere a Debian with Python 3.11 takes its place under the same tag, so
# that the shipped Dockerfile builds unchanged. Two things of this machine go into it, because a build runs
# nowhere else: the certificates that it trusts, and wheels in folders that its pip is told to look in.
set -euo pipefail
tag=$1 folder=$2
docker image inspect "$tag" >/dev/null 2>&1 && exit
timeout 60 docker pull -q "$tag" 2>/dev/null && exit

root=$folder/base-root
rm -rf "$root"
debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
    bookworm "$root" http://deb.debian.org/debian >"$folder/debootstrap.log"
ln -sf python3 "$root/usr/bin/python"
rm -f "$root"/usr/lib/python3.*/EXTERNALLY-MANAGED
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
chroot "$root" update-ca-certificates >/dev/null 2>&1
mkdir -p "$root/usr/share/wheels"
for found in $(python3 -m pip config list | sed -n "s/.*find-links='\(.*\)'/\1/p"); do
    [ -d "$found" ] && cp -n "$found"/*.whl "$root/usr/share/wheels/"
done

bundle=/etc/ssl/certs/ca-certificates.crt
tar -C "$root" -c . | docker import \
    --change "ENV PIP_CERT=$bundle SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle PIP_FIND_LINKS=/usr/share/wheels" \
    --change 'CMD ["python3"]' - "$tag" >/dev/null
rm -rf "$root"
