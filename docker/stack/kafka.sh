#!/usr/bin/env bash
# A real Kafka (KRaft, broker and controller in one process) from Maven Central, on loopback.
#  kafka.sh start PORT [secure] | wait | stop | kill | again      data and log lie in $WORK/kafka
# Listeners: PORT plain; PORT+3 plain, advertised as PORT+4, where a test's proxy listens. With `secure` (certificates of
# tls.sh must be there) also: PORT+5 TLS, clients show a certificate; PORT+6 TLS and SASL; PORT+7 TLS and SASL under a host
# name that is not in the certificate. Users: halcyon (every mechanism, may do everything) and stranger (nothing).
set -eu; . "$(dirname "$0")/lib.sh"; d=$WORK/kafka; V=4.3.1
resolve() {
  local f=$CACHE/cp/kafka-$V
  [ -s "$f" ] || { mkdir -p "$CACHE/cp"; mvn -B -q -f "$HERE/pom-kafka.xml" -Dkafka.version=$V dependency:build-classpath -Dmdep.outputFile="$f.tmp" >"$f.log" 2>&1 || { grep ERROR "$f.log" | head -n 2 >&2; die "cannot resolve Kafka $V; is Maven Central reached?"; }; mv "$f.tmp" "$f"; }
  cat "$f"
}
run() { spawn "$d" kafka "$JAVA" -Xmx"${KAFKA_HEAP:-512m}" ${KAFKA_JVM:-$JVM_FAST} -Dlog4j2.configurationFile="$HERE/kafka-log4j2.properties" -cp "$(resolve)" kafka.Kafka "$d/server.properties"; }
tool() { "$JAVA" $JVM_FAST -Dlog4j2.configurationFile="$HERE/kafka-log4j2.properties" -cp "$(resolve)" kafka.tools.StorageTool "$@"; }
# secure_properties PORT PASSWORD: what is added to server.properties, and what replaces its listeners
secure_properties() {
  local port=$1 password=$2 login=org.apache.kafka.common.security
  sed -i "s|^listeners=.*|&,MUTUAL://127.0.0.1:$((port + 5)),SECURE://127.0.0.1:$((port + 6)),MISNAMED://127.0.0.2:$((port + 7))|
    s|^advertised.listeners=.*|&,MUTUAL://127.0.0.1:$((port + 5)),SECURE://127.0.0.1:$((port + 6)),MISNAMED://127.0.0.2:$((port + 7))|
    s|^listener.security.protocol.map=.*|&,MUTUAL:SSL,SECURE:SASL_SSL,MISNAMED:SASL_SSL|" "$d/server.properties"
  cat >>"$d/server.properties" <<P
ssl.keystore.type=PEM
ssl.keystore.location=$WORK/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$WORK/tls/ca.pem
listener.name.mutual.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:halcyon;User:CN=client
P
  local listener
  for listener in secure misnamed; do cat >>"$d/server.properties" <<P
listener.name.$listener.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.$listener.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_halcyon="$password" user_stranger="$password";
listener.name.$listener.scram-sha-256.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.$listener.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.$listener.oauthbearer.sasl.jaas.config=$login.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
P
  done
}
# configure PORT [secure]
configure() {
  local port=$1 users=() user
  sed "s|@DATA@|$d/data|; s|29092|$port|g; s|29093|$((port + 1))|g; s|29095|$((port + 3))|g; s|29096|$((port + 4))|g" "$HERE/kafka.properties" >"$d/server.properties"
  if [ "${2:-}" = secure ]; then
    (umask 077; head -c 18 /dev/urandom | base64 | tr -dc a-zA-Z0-9 >"$d/password")
    secure_properties "$port" "$(cat "$d/password")"
    for user in halcyon stranger; do for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
      users+=(--add-scram "$mechanism=[name=$user,password=$(cat "$d/password")]")
    done; done
  fi
  [ -f "$d/data/meta.properties" ] || tool format -t "$(tool random-uuid)" -c "$d/server.properties" ${users[@]+"${users[@]}"} >"$d/format.log" 2>&1 || { tail -n 5 "$d/format.log" >&2; die "cannot format Kafka's folder $d/data"; }
}
case ${1:-} in
  start) mkdir -p "$d"; configure "$2" "${3:-}"; run;;
  again) run;;
  wait) wait_log "$d/kafka.log" "$d/kafka.pid" "Kafka Server started" 90;;
  stop) halt "$d/kafka.pid";;
  kill) halt "$d/kafka.pid" KILL;;
  *) sed -n '2,6p' "$0"; exit 2;;
esac
