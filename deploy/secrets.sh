#!/bin/sh
# Creates the secrets that the containers share, readable by their owner alone; a second run changes nothing.
#
#   deploy/secrets/ray_token        whoever has it can run code on the Ray cluster
#   deploy/secrets/s3_config        the object store's one identity
#   deploy/secrets/s3_credentials   the same identity, as clients read it
#   .env                            the user that containers run as: the owner of these files
set -eu
umask 077
cd "$(dirname "$0")/.."
mkdir -p deploy/secrets
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

[ -s deploy/secrets/ray_token ] || random 32 >deploy/secrets/ray_token
if [ ! -s deploy/secrets/s3_config ]; then
    key=$(random 10) secret=$(random 20)
    printf '{"identities": [{"name": "widesweep", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}\n' \
        "$key" "$secret" >deploy/secrets/s3_config
    printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$key" "$secret" >deploy/secrets/s3_credentials
fi
if [ "$(id -u)" = 0 ]; then # containers do not run as root: the image's own user becomes the owner
    user=10001:10001
    chown "$user" deploy/secrets/*
    chmod 711 deploy/secrets
else
    user=$(id -u):$(id -g)
fi
[ -s .env ] || echo "WIDESWEEP_USER=$user" >.env
