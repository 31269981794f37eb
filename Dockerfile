# One image with both programs of a node. Builds with the classic builder and
# with BuildKit; only the Go module proxy must be reachable.
FROM golang:1.26 AS build
ARG VERSION=unknown
ENV CGO_ENABLED=0
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/proxima ./cmd/proxima-bgp
# Where the two containers of a node share the sidecar's socket.
RUN mkdir -p /out/run/proxima

FROM scratch
COPY --from=build /out/proxima /out/proxima-bgp /
COPY --from=build --chown=65532:65532 /out/run/proxima /run/proxima
# Capabilities for a user other than root have to stand on the file. They are
# set in this stage because copying between stages may lose them.
RUN ["/proxima", "grant", "/proxima"]
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/proxima", "health"]
ENTRYPOINT ["/proxima"]
CMD ["serve"]
