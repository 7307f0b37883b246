#!/usr/bin/env bash
# A real Kafka (KRaft, broker and controller in one process) from Maven Central, on loopback.
#  kafka.sh start PORT | wait | stop | kill | again      data and log lie in $WORK/kafka
set -eu; . "$(dirname "$0")/lib.sh"; d=$WORK/kafka; V=4.3.1
resolve() {
  local f=$CACHE/cp/kafka-$V
  [ -s "$f" ] || { mkdir -p "$CACHE/cp"; mvn -B -q -f "$HERE/pom-kafka.xml" -Dkafka.version=$V dependency:build-classpath -Dmdep.outputFile="$f.tmp" >"$f.log" 2>&1 || { grep ERROR "$f.log" | head -n 2 >&2; die "cannot resolve Kafka $V; is Maven Central reached?"; }; mv "$f.tmp" "$f"; }
  cat "$f"
}
run() { spawn "$d" kafka "$JAVA" -Xmx"${KAFKA_HEAP:-512m}" ${KAFKA_JVM:-$JVM_FAST} -Dlog4j2.configurationFile="$HERE/kafka-log4j2.properties" -cp "$(resolve)" kafka.Kafka "$d/server.properties"; }
tool() { "$JAVA" $JVM_FAST -Dlog4j2.configurationFile="$HERE/kafka-log4j2.properties" -cp "$(resolve)" kafka.tools.StorageTool "$@"; }
case ${1:-} in
  start) mkdir -p "$d"; port=$2
    sed "s|@DATA@|$d/data|; s|29092|$port|g; s|29093|$((port + 1))|g" "$HERE/kafka.properties" >"$d/server.properties"
    [ -f "$d/data/meta.properties" ] || tool format -t "$(tool random-uuid)" -c "$d/server.properties" >"$d/format.log" 2>&1 || { tail -n 5 "$d/format.log" >&2; die "cannot format Kafka's folder $d/data"; }
    run;;
  again) run;;
  wait) wait_log "$d/kafka.log" "$d/kafka.pid" "Kafka Server started" 90;;
  stop) halt "$d/kafka.pid";;
  kill) halt "$d/kafka.pid" KILL;;
  *) sed -n '2,3p' "$0"; exit 2;;
esac
