# Slipway with everything it needs to build: the server, buildkitd and runc.
#
#   docker build -t slipway .
#   docker compose up        (compose.yaml has the rights that builders need)

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/ ./cmd/slipway github.com/moby/buildkit/cmd/buildkitd

FROM debian:bookworm-slim
# runc and the network plugins run the steps; the file system tools make builders, mmdebstrap and the keyring base
# images.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates containernetworking-plugins debian-archive-keyring e2fsprogs mmdebstrap runc xfsprogs \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/slipway /out/buildkitd /usr/local/bin/
VOLUME /var/lib/slipway
ENV SLIPWAY_DATA=/var/lib/slipway SLIPWAY_LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --start-period=60s CMD ["slipway", "doctor", "--ready", "http://127.0.0.1:8080"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["slipway"]
CMD ["serve"]
