# lib.sh: sourced by the other scripts.
# CACHE: what is downloaded and compiled once. WORK: what running servers write. JAVA: the java to run (JDK 17 works for all).
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/halcyon/java}; mkdir -p "$CACHE"
WORK=${WORK:-${XDG_CACHE_HOME:-$HOME/.cache}/halcyon/stacks/default}; mkdir -p "$WORK"; WORK=$(cd "$WORK" && pwd)
JAVA=${JAVA:-java}
HEAP=${HEAP:-256m}
# C1 only + serial collector: a third of the start-up CPU of the defaults, and the least memory on a small machine.
JVM_FAST=${JVM_FAST:--XX:+UseSerialGC -XX:TieredStopAtLevel=1}
OPENS="--add-opens=java.base/java.lang=ALL-UNNAMED --add-opens=java.base/java.lang.reflect=ALL-UNNAMED
 --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.util=ALL-UNNAMED
 --add-opens=java.base/java.util.concurrent=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED
 --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED --add-exports=java.base/jdk.internal.misc=ALL-UNNAMED
 --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"
OPENS=$(echo ${OPENS_ONLY-$OPENS})
# cds_file VERSION: the class-data archive of that class path and that java
cds_file() { echo "$CACHE/cds/$1-$(basename "$(dirname "$(dirname "$(readlink -f "$(command -v "$JAVA")")")")").jsa"; }

die() { echo "$*" >&2; exit 1; }
prop() { printf '<property><name>%s</name><value>%s</value></property>\n' "$1" "$2"; }
props() { for kv; do prop "${kv%%=*}" "${kv#*=}"; done; }           # props K=V ...

# mvn_args VERSION: which artifacts go together (all of them resolved and run)
mvn_args() {
  case $1 in
    2.6.4-hadoop3)  echo -Dhadoop.version=3.4.2 -Dhbase.mr.version=2.6.4 -Dhbase.codec.version=2.6.1 -Pmr,job,codecs,lz4;;
    2.5.13-hadoop3) echo -Dhadoop.version=3.4.2 -Dhbase.codec.version=2.6.1 -Pmr,job,codecs,lz4;;
    2.4.18)         echo -Dhadoop.version=2.10.0 -Pmr,job;;
    2.4.18+h3)      echo -Dhadoop.version=3.4.2 -Pmr,job,lz4,newhadoop;;  # built for Hadoop 2.10; on 3.4.2 it has SNAPPY and LZ4, but cannot use HDFS (NoSuchMethodError)
    1.*)            echo -Pv1;;                                        # MapReduce classes are in hbase-server
    *)              echo;;
  esac
}
# classpath VERSION: resolved once into $CACHE/cp/VERSION
classpath() {
  local f=$CACHE/cp/$1
  if [ ! -s "$f" ]; then
    mkdir -p "$CACHE/cp"
    mvn -B -q -f "$HERE/pom-hbase.xml" -Dhbase.version="${1%+*}" $(mvn_args "$1") dependency:build-classpath -Dmdep.outputFile="$f.tmp" >"$f.log" 2>&1 \
      || { grep ERROR "$f.log" | head -2 >&2; die "cannot resolve HBase $1"; }
    mv "$f.tmp" "$f"
  fi
  cat "$f"
}
# hsh_classes VERSION: Hsh.java compiled against that version
hsh_classes() {
  local d=$CACHE/hsh/$1
  if [ "$HERE/Hsh.java" -nt "$d/Hsh.class" ]; then mkdir -p "$d"; javac --release 8 -nowarn -Xlint:none -d "$d" -cp "$(classpath "$1")" "$HERE/Hsh.java" 2>"$d.log" || { cat "$d.log" >&2; exit 1; }; fi
  echo "$d"
}
log4j() { # log4j FILE LEVEL
  cat >"$1" <<L
log4j.rootLogger=$2,A
log4j.appender.A=org.apache.log4j.ConsoleAppender
log4j.appender.A.target=System.err
log4j.appender.A.layout=org.apache.log4j.PatternLayout
log4j.appender.A.layout.ConversionPattern=%d{ISO8601} %-5p [%t] %c{2}: %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
log4j.logger.org.apache.zookeeper=ERROR
L
}
# spawn DIR PROC cmd...: start in the background in its own session, DIR/PROC.pid, DIR/PROC.log
spawn() { local d=$1 p=$2; shift 2; setsid "$@" >"$d/$p.log" 2>&1 </dev/null & echo $! >"$d/$p.pid"; disown; }
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
# halt PIDFILE [KILL]: SIGTERM, SIGKILL after $GRACE s; or SIGKILL at once
halt() {
  alive "$1" || { rm -f "$1"; return 0; }
  local pid; pid=$(cat "$1")
  if [ "${2:-}" = KILL ]; then kill -9 "$pid"; else kill "$pid"; for _ in $(seq $((${GRACE:-10} * 5))); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done; kill -9 "$pid" 2>/dev/null; fi
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$1"
}
# wait_log FILE PIDFILE PATTERN SECONDS
wait_log() {
  local end=$((SECONDS + $4))
  until grep -qE "$3" "$1" 2>/dev/null; do
    alive "$2" || { tail -n 20 "$1" >&2; die "process of $2 died"; }
    [ $SECONDS -lt $end ] || { tail -n 20 "$1" >&2; die "no '$3' in $1 after $4 s"; }
    sleep 0.1
  done
}
