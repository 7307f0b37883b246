#!/usr/bin/env bash
# A private Kerberos (MIT) in $WORK/kdc; no file of the system is touched. Realm STACK.TEST; a keytab for each of
# hbase/localhost (servers), tester (clients) and short, whose tickets last a few seconds.
#  kdc.sh start PORT    make the database, start the key distribution centre
#  kdc.sh kill
#  kdc.sh properties    K=V arguments of hbase.sh; CORE must say hadoop.security.authentication=kerberos
# Programs find it by KRB5_CONFIG=$WORK/kdc/krb5.conf; Java by -Djava.security.krb5.conf=$WORK/kdc/krb5.conf.
set -eu; . "$(dirname "$0")/lib.sh"
folder=$WORK/kdc realm=STACK.TEST; PATH=$PATH:/usr/sbin
export KRB5_CONFIG=$folder/krb5.conf KRB5_KDC_PROFILE=$folder/kdc.conf
configure() { # configure PORT
  # TCP only, and no name service: everything is on this machine.
  printf '%s\n' '[libdefaults]' " default_realm = $realm" ' dns_lookup_realm = false' ' dns_lookup_kdc = false' \
    ' dns_canonicalize_hostname = false' ' rdns = false' ' udp_preference_limit = 1' " default_ccache_name = FILE:$folder/cache" \
    '[realms]' " $realm = {" "  kdc = 127.0.0.1:$1" ' }' '[domain_realm]' " localhost = $realm" >"$KRB5_CONFIG"
  printf '%s\n' '[kdcdefaults]' " kdc_listen = 127.0.0.1:$1" " kdc_tcp_listen = 127.0.0.1:$1" '[realms]' " $realm = {" \
    "  database_name = $folder/principal" "  key_stash_file = $folder/stash" "  acl_file = $folder/acl" '  max_life = 24h' \
    '  supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal' ' }' >"$KRB5_KDC_PROFILE"
}
database() {
  kdb5_util create -s -P "$(head -c 18 /dev/urandom | base64)" -r $realm
  for principal in hbase/localhost tester short; do
    kadmin.local -r $realm addprinc -randkey $principal
    kadmin.local -r $realm ktadd -k "$folder/${principal%%/*}.keytab" $principal
  done
  kadmin.local -r $realm modprinc -maxlife '5 seconds' short
}
case ${1:-} in
  start)
    mkdir -p "$folder"; chmod 700 "$folder"; configure "$2"
    [ -e "$folder/principal" ] || database >"$folder/database.log" 2>&1 || { cat "$folder/database.log" >&2; exit 1; }
    spawn "$folder" kdc krb5kdc -n -r $realm
    for _ in $(seq 100); do (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null && exit 0; sleep 0.1; done
    cat "$folder/kdc.log" >&2; die "the key distribution centre does not listen";;
  kill) halt "$folder/kdc.pid" KILL;;
  properties)
    for server in master regionserver; do
      echo hbase.$server.kerberos.principal=hbase/_HOST@$realm hbase.$server.keytab.file="$folder/hbase.keytab"
    done
    # Clients choose what protects their bytes; tests go through all three.
    echo hbase.security.authentication=kerberos hbase.rpc.protection=authentication,integrity,privacy
    echo hbase.coprocessor.region.classes=org.apache.hadoop.hbase.security.token.TokenProvider;;
  *) sed -n '2,7p' "$0"; exit 2;;
esac
