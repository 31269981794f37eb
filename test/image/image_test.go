//go:build linux

package image

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"proxima/test/router"
)

func TestMain(m *testing.M) {
	router.RunIfAsked()
	os.Exit(m.Run())
}

// TestImage builds once and then tells a node's life: its parts in order, each
// from where the one before has left the world.
func TestImage(t *testing.T) {
	mustEngine(t)
	mustBuild(t)
	t.Run("says its version, and brings a good file", testDefaults)
	w := mustWorld(t)
	for _, part := range []struct {
		claim string
		test  func(*testing.T, *world)
	}{
		{"runs without root, with two capabilities at most", testPrivileges},
		{"serves each address over UDP and TCP once it is announced", testServes},
		{"becomes healthy", testHealth},
		{"withdraws at once when it is killed, and comes back", testKill},
		{"drains when it is stopped, and loses no query", testStop},
	} {
		if !t.Run(part.claim, func(t *testing.T) { part.test(t, w) }) {
			break // the world is not as the next one expects it
		}
	}
}

func testDefaults(t *testing.T) {
	run := []string{"run", "--rm", "--label", label(), "--network", "none", "--read-only", "--cap-drop", "ALL",
		"--cap-add", "NET_ADMIN", "--cap-add", "NET_BIND_SERVICE", imageTag()}
	if got := mustDocker(t, append(run, "version")...); !strings.HasPrefix(got, "proxima test go1.") {
		t.Errorf("version: %s", got)
	}
	if got := mustDocker(t, append(run, "check", "-c", "/etc/proxima/proxima.yaml")...); !strings.HasSuffix(got, ": ok") {
		t.Errorf("check: %s", got)
	}
}

func testPrivileges(t *testing.T, w *world) {
	for container, want := range map[string]string{
		w.nodes[0].daemon:  "Uid 65532, CapEff 0000000000001400", // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN
		w.nodes[0].sidecar: "Uid 65532, CapEff 0000000000000000",
	} {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", mustPID(t, container)))
		mustDo(t, err)
		got := make(map[string]string)
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 1 {
				got[f[0]] = f[1]
			}
		}
		if text := fmt.Sprintf("Uid %s, CapEff %s", got["Uid:"], got["CapEff:"]); text != want {
			t.Errorf("%s: %s, want %s", container, text, want)
		}
	}
}

func testServes(t *testing.T, w *world) {
	w.awaitBoth(t)
	for i, address := range service {
		for _, network := range []string{"udp", "tcp"} {
			await(t, fmt.Sprintf("localhost. of %s over %s", address, network), func() bool {
				got, _ := ask(w.router, network, address, localhost)
				return got == "127.0.0.1"
			})
			await(t, fmt.Sprintf("%s over %s is the node that the route leads to", address, network), func() bool {
				got, _ := ask(w.router, network, address, whoAreYou)
				return got == w.serving()[i]
			})
		}
	}
}

func testHealth(t *testing.T, w *world) {
	for _, n := range w.nodes {
		await(t, n.daemon+" is healthy", func() bool {
			return mustDocker(t, "inspect", "--format", "{{.State.Health.Status}}", n.daemon) == "healthy"
		})
	}
}

// mustLeave waits until both nodes announce and returns the one in use for
// IPv4, the other, and an asker that will see the one leave.
func mustLeave(t *testing.T, w *world) (leaver, heir *node, a *asker) {
	t.Helper()
	w.awaitBoth(t)
	leaver, heir = w.nodes[0], w.nodes[1]
	if w.serving()[0] == heir.id {
		leaver, heir = heir, leaver
	}
	a = startAsker(t, w.router)
	await(t, leaver.id+" answers", func() bool { return a.answered(leaver.id) > 0 })
	return leaver, heir, a
}

// awaitBoth waits until both nodes announce and the router has routes.
func (w *world) awaitBoth(t *testing.T) {
	t.Helper()
	for _, n := range w.nodes {
		await(t, n.id+" announces", func() bool { return announces(t, n) })
	}
	await(t, "the router has routes", func() bool { ids := w.serving(); return ids[0] != "" && ids[1] != "" })
}

func testKill(t *testing.T, w *world) {
	leaver, heir, a := mustLeave(t, w)
	mustDocker(t, "kill", leaver.daemon)
	began := time.Now()
	await(t, "the routes lead to the other node", func() bool { return w.serving() == [2]string{heir.id, heir.id} })
	if spent := time.Since(began); spent > lease*8/10 { // it was renewed a second before at most
		t.Errorf("withdrawn after %v: that was not the end of the process but of its lease, %v", spent, lease)
	}
	by, lost := a.stop()
	t.Logf("answered by %v, lost %d", by, len(lost))
	if got := leaver.held(t); got == "" {
		t.Error("a killed daemon cannot have released its addresses")
	}
	mustDocker(t, "start", leaver.daemon)
}

func testStop(t *testing.T, w *world) {
	leaver, heir, a := mustLeave(t, w)
	stopped := make(chan error, 1)
	go func() {
		_, err := docker(t.Context(), "stop", "-t", "30", leaver.daemon)
		stopped <- err
	}()
	await(t, "the routes lead to the other node", func() bool { return w.serving() == [2]string{heir.id, heir.id} })
	moved := time.Now()
	mustDo(t, <-stopped)
	by, lost := a.stop()
	t.Logf("answered by %v, lost %d", by, len(lost))
	if len(lost) > 0 && os.Getenv("PROXIMA_ALONE") == "1" { // else node or client may have slept
		t.Errorf("lost %d queries, the first one: %v", len(lost), lost[0])
	}
	if by[heir.id] == 0 {
		t.Errorf("answered by %v, want both nodes", by)
	}
	// Only GRACEFUL_SHUTDOWN moves a route that is still announced.
	if withdrawn := logged(t, leaver.sidecar, "announcement withdrawn"); !moved.Before(withdrawn) {
		t.Errorf("the routes moved at %v, not before they were withdrawn at %v", moved, withdrawn)
	}
	if got := leaver.held(t); got != "" {
		t.Errorf("left behind: %s", got)
	}
	if got := mustDocker(t, "inspect", "--format", "{{.State.ExitCode}}", leaver.daemon); got != "0" {
		t.Errorf("exit code %s", got)
	}
}
