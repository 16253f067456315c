# syntax=docker/dockerfile:1
# The recorder in a container: no root, no writes outside /data, stopped by SIGTERM within 30 s (docs/deployment.md).

FROM oven/bun:1.4.5-slim AS dependencies
WORKDIR /app
COPY package.json bun.lock ./
# No install scripts run; DuckDB's native parts are packages of their own.
RUN bun install --frozen-lockfile --production --ignore-scripts

FROM oven/bun:1.4.5-slim
LABEL org.opencontainers.image.title="tapedeck" \
      org.opencontainers.image.description="Records crypto market data: WebSocket in, Parquet out, every event accounted for." \
      org.opencontainers.image.licenses="MIT"

WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY src src

# The one place that is written to. The user of the base image has id 1000.
RUN mkdir -p /data /etc/tapedeck && chown 1000:1000 /data
VOLUME /data

# Bound to all addresses: only what is published or routed to the container reaches it.
ENV TAPEDECK_STATUS_HOST=0.0.0.0 \
    TAPEDECK_STATUS_PORT=9100 \
    TAPEDECK_DATA=/data \
    HOME=/tmp \
    BUN_RUNTIME_TRANSPILER_CACHE_PATH=0 \
    NODE_ENV=production

# tapedeck.toml is read from the current folder: mount it here.
WORKDIR /etc/tapedeck
USER 1000:1000
EXPOSE 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bun", "/app/src/main.ts", "healthcheck"]
ENTRYPOINT ["bun", "/app/src/main.ts"]
CMD ["record"]
