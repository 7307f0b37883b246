# One HBase cluster in one process, by the scripts of docker/stack. Build from the project's root with --build-arg VERSION=1.7.2.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jdk-headless maven procps && rm -rf /var/lib/apt/lists/*
COPY docker/stack /stack
ARG VERSION=2.6.4-hadoop3
ENV VERSION=$VERSION CACHE=/cache WORK=/data
RUN bash -c '. /stack/lib.sh; classpath "$VERSION" >/dev/null'
EXPOSE 16000 16001 16011
CMD ["bash", "-c", "/stack/hbase.sh start node \"$VERSION\" 16000 hbase.master.hostname=$(hostname) hbase.regionserver.hostname=$(hostname) hbase.master.ipc.address=0.0.0.0 hbase.regionserver.ipc.address=0.0.0.0 && exec tail -F /data/node/master.log"]
