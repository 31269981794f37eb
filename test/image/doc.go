// Package image tests the container image as an operator lives with it.
//
// The test builds the image from the Dockerfile, with nothing to reach but a
// module proxy, and runs two nodes of it: two containers each, which share a
// network namespace and the sidecar's socket, with a router that speaks BGP
// beside them. Then it asks, kills and stops. It needs root, a container engine
// on this host and PROXIMA_FULL=1, or it skips. No registry is asked: where the
// base image is absent, this host's Go toolchain stands in for it.
//
// The test removes what it has made; what a killed run has left, the next one
// removes. Only BuildKit's cache, where that builds, is left to the engine.
package image
