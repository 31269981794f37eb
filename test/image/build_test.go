//go:build linux

package image

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	baseImage = "golang:1.26" // of the Dockerfile

	// buildLimit bounds a build, which has no cache of compiled packages.
	buildLimit = 15 * time.Minute
)

// mustBuild builds the image.
func mustBuild(t *testing.T) {
	t.Helper()
	mustBaseImage(t)
	build := []string{"build", "--force-rm", "--network", "host", "--label", label(),
		"--build-arg", "GOPROXY=" + mustProxy(t), "--build-arg", "VERSION=test"}
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	began := time.Now()
	// The first stage gets a name so that it can be removed.
	for _, more := range [][]string{{"--target", "build", "--tag", imageTag() + "-build"}, {"--tag", imageTag()}} {
		_, err := dockerSlow(ctx, append(append(build, more...), mustGo(t, "list", "-m", "-f", "{{.Dir}}"))...)
		mustDo(t, err)
	}
	t.Logf("built in %v, size %s", time.Since(began).Round(time.Second), mustDocker(t, "images", imageTag(), "--format", "{{.Size}}"))
}

// mustGo returns what the go command prints.
func mustGo(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// mustProxy serves the modules that this host has in its cache: a module proxy
// and nothing else. It skips if some are missing and cannot be had.
func mustProxy(t *testing.T) (url string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "go", "mod", "download").CombinedOutput(); err != nil {
		t.Skipf("go mod download: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	mustDo(t, err)
	cache := filepath.Join(mustGo(t, "env", "GOMODCACHE"), "cache", "download")
	proxy := &http.Server{Handler: http.FileServer(http.Dir(cache)), ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- proxy.Serve(l) }()
	t.Cleanup(func() { _ = proxy.Close(); <-served })
	return "http://" + l.Addr().String()
}

// mustBaseImage makes a stand-in for the base image unless the engine has one:
// this host's Go toolchain and a shell.
func mustBaseImage(t *testing.T) {
	t.Helper()
	if _, err := docker(t.Context(), "image", "inspect", baseImage); err == nil {
		return
	}
	read, write, err := os.Pipe()
	mustDo(t, err)
	defer read.Close()
	cmd := exec.CommandContext(t.Context(), "docker", "import",
		"--change", "ENV PATH=/usr/local/go/bin:/bin", "--change", "LABEL "+label(), "-", baseImage)
	cmd.Stdin = read
	packed := make(chan error, 1)
	goroot := mustGo(t, "env", "GOROOT")
	go func() {
		err := packBase(write, goroot)
		_ = write.Close()
		packed <- err
	}()
	out, err := cmd.CombinedOutput()
	_ = read.Close()
	if packErr := <-packed; packErr != nil || err != nil {
		t.Fatalf("docker import: %v; tar: %v\n%s", err, packErr, out)
	}
}

// packBase writes the stand-in's files as a tar archive.
func packBase(w io.Writer, goroot string) error {
	archive := tar.NewWriter(w)
	for dir, mode := range map[string]int64{"bin": 0o755, "tmp": 0o1777, "root": 0o700} {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode}); err != nil {
			return err
		}
	}
	files, err := shell()
	if err != nil {
		return err
	}
	for path, file := range files {
		if err := packFile(archive, path, file); err != nil {
			return err
		}
	}
	err = filepath.WalkDir(goroot, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(goroot, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == "testdata" || below == "api" || below == "doc" || below == "misc" || below == "test"):
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return packFile(archive, filepath.Join("/usr/local/go", below), path)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

// packFile adds a file of this host to the archive as path.
func packFile(archive *tar.Writer, path, file string) error {
	f, err := os.Open(file) // follows links
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// sharedObject finds the files in what ldd prints.
var sharedObject = regexp.MustCompile(`/\S+`)

// shell returns /bin/sh and the files that it needs to run: where they go in
// the image, and where they are here.
func shell() (map[string]string, error) {
	files := map[string]string{"/bin/sh": "/bin/sh"}
	out, err := exec.Command("ldd", "/bin/sh").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "not a dynamic executable") {
		return nil, fmt.Errorf("ldd /bin/sh: %w\n%s", err, out)
	}
	for _, file := range sharedObject.FindAllString(string(out), -1) {
		files[file] = file
	}
	return files, nil
}
