#!/usr/bin/env bash
# A certificate authority and what it vouched for, as PEM, in $WORK/tls: server.pem and client.pem (for localhost and
# 127.0.0.1: certificate and key), client.crt and client.key apart, ca.pem; stranger.crt and stranger.key are another authority's.
#  tls.sh make          the files, if they are not there
#  tls.sh properties    K=V arguments of hbase.sh: TLS and plain text on one port, TLS clients must show a certificate
set -eu; . "$(dirname "$0")/lib.sh"
folder=$WORK/tls
authority() { # authority NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=halcyon test authority $1" \
    -keyout "$folder/$1.key" -out "$folder/$1.pem" 2>/dev/null
}
certificate() { # certificate NAME AUTHORITY
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$folder/$1.key" -out "$folder/$1.csr" 2>/dev/null
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >"$folder/$1.ext"
  openssl x509 -req -in "$folder/$1.csr" -CA "$folder/$2.pem" -CAkey "$folder/$2.key" -CAcreateserial -days 30 \
    -extfile "$folder/$1.ext" -out "$folder/$1.crt" 2>/dev/null
  cat "$folder/$1.crt" "$folder/$1.key" >"$folder/$1.pem"
}
case ${1:-} in
  make)
    [ ! -s "$folder/stranger.pem" ] || exit 0
    command -v openssl >/dev/null || die "needs openssl"
    mkdir -p "$folder"; chmod 700 "$folder"
    authority ca; authority other
    certificate server ca; certificate client ca; certificate stranger other;;
  properties)
    echo hbase.server.netty.tls.enabled=true hbase.server.netty.tls.supportplaintext=true hbase.server.netty.tls.client.auth.mode=NEED
    echo hbase.rpc.tls.keystore.location="$folder/server.pem" hbase.rpc.tls.keystore.type=PEM
    echo hbase.rpc.tls.truststore.location="$folder/ca.pem" hbase.rpc.tls.truststore.type=PEM;;
  *) sed -n '2,5p' "$0"; exit 2;;
esac
