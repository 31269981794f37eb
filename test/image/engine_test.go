//go:build linux

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"proxima/test/netns"
)

// owner labels all that a test makes with the test's process.
const owner = "proxima.test"

// engineLimit bounds every command but a build.
const engineLimit = 5 * time.Minute

// mustEngine skips where the test cannot run, and sees to it that nothing is
// left behind.
func mustEngine(t *testing.T) {
	t.Helper()
	if os.Getenv("PROXIMA_FULL") != "1" {
		t.Skip("building the image takes minutes: PROXIMA_FULL=1 runs this test")
	}
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	if _, err := docker(t.Context(), "version", "--format", "{{.Server.Version}}"); err != nil {
		t.Skipf("no container engine: %v", err)
	}
	mustDo(t, sweep(func(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }))
	t.Cleanup(func() {
		if err := sweep(func(pid int) bool { return pid == os.Getpid() }); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
}

// docker runs a command of the engine's client and returns what it printed,
// without the end of the last line.
func docker(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	return dockerSlow(ctx, args...)
}

// dockerSlow is docker without a limit of its own.
func dockerSlow(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	text := strings.TrimRight(string(out), "\n")
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker(t.Context(), args...)
	mustDo(t, err)
	return out
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// label marks what this process makes.
func label() string { return fmt.Sprintf("%s=%d", owner, os.Getpid()) }

// name is the name of one of this process's containers or volumes.
func name(part string) string { return fmt.Sprintf("proxima-test-%d-%s", os.Getpid(), part) }

// images is where the images of tests are, each with its process as the tag.
const images = "proxima-test"

func imageTag() string { return fmt.Sprintf("%s:%d", images, os.Getpid()) }

// sweep removes what tests have made whose process is over.
func sweep(over func(pid int) bool) error {
	ctx := context.Background() // a test's own is done when it cleans up
	column := fmt.Sprintf("{{.Label %q}}", owner)
	var pids []int
	for _, list := range [][]string{
		{"ps", "--all", "--filter", "label=" + owner, "--format", column},
		{"volume", "ls", "--filter", "label=" + owner, "--format", column},
		{"images", images, "--format", "{{.Tag}}"},
		{"images", baseImage, "--filter", "label=" + owner, "--format", "{{.ID}}"},
	} {
		out, err := docker(ctx, list...)
		if err != nil {
			return err
		}
		for word := range strings.FieldsSeq(out) {
			if list[1] == baseImage {
				word, _ = docker(ctx, "image", "inspect", "--format", fmt.Sprintf("{{index .Config.Labels %q}}", owner), baseImage)
			}
			word, _, _ = strings.Cut(word, "-")
			if pid, err := strconv.Atoi(word); err == nil && over(pid) && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, remove(ctx, fmt.Sprintf("%s=%d", owner, pid), strconv.Itoa(pid)))
	}
	return errors.Join(errs...)
}

// remove takes away all that bears a label: containers, volumes, the images
// with this tag, what they were built of, and the stand-in for the base image.
func remove(ctx context.Context, label, tag string) error {
	var errs []error
	each := func(remove []string, list ...string) {
		out, err := docker(ctx, list...)
		errs = append(errs, err)
		if things := strings.Fields(out); len(things) > 0 {
			_, err := docker(ctx, append(remove, things...)...)
			errs = append(errs, err)
		}
	}
	each([]string{"rm", "--force", "--volumes"}, "ps", "--all", "--quiet", "--filter", "label="+label)
	each([]string{"volume", "rm"}, "volume", "ls", "--quiet", "--filter", "label="+label)
	for _, t := range []string{tag, tag + "-build"} {
		each([]string{"rmi"}, "images", images+":"+t, "--format", "{{.Repository}}:{{.Tag}}")
	}
	_, err := docker(ctx, "image", "prune", "--force", "--filter", "label="+label)
	each([]string{"rmi"}, "images", baseImage, "--filter", "label="+label, "--format", "{{.Repository}}:{{.Tag}}")
	return errors.Join(append(errs, err)...)
}
