# One image with both programs of a node: docs/containers.md says how to run it.
# Needs the base image and a Go module proxy, nothing else; the classic builder
# and BuildKit make the same of it.
FROM golang:1.26 AS build
ARG GOPROXY
ARG VERSION=unknown
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/proxima ./cmd/proxima-bgp
# Made here because there is no mkdir in the image itself.
WORKDIR /out/run

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="proxima" \
      org.opencontainers.image.description="An anycast DNS resolver and its BGP sidecar" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/proxima /out/proxima-bgp /
# Every key with its default; a mount over /etc/proxima replaces it.
COPY --chown=65532:65532 config/proxima.yaml /etc/proxima/
# Where the sidecar's socket lies, so that a new volume there belongs to the user.
COPY --from=build --chown=65532:65532 /out/run /run/proxima
# A user other than root has capabilities only through the file. They are set in
# this stage because the classic builder loses them when it copies.
RUN ["/proxima", "grant", "/proxima"]
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["/proxima", "health", "-c", "/etc/proxima/proxima.yaml"]
ENTRYPOINT ["/proxima"]
CMD ["serve", "-c", "/etc/proxima/proxima.yaml"]
