package logging

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A pipe is a reader that may hang or be gone.
type pipe struct {
	reading chan struct{} // holds one while the reader does not hang
	broken  bool
	text    strings.Builder
}

func newPipe() *pipe {
	p := &pipe{reading: make(chan struct{}, 1)}
	p.resume()
	return p
}

func (p *pipe) hang()   { <-p.reading }
func (p *pipe) resume() { p.reading <- struct{}{} }

func (p *pipe) Write(text []byte) (int, error) {
	p.hang()
	defer p.resume()
	if p.broken {
		return 0, errors.New("broken pipe")
	}
	return p.text.Write(text)
}

// lines are what was read, without what differs from run to run.
func (p *pipe) lines() []string {
	p.hang()
	defer p.resume()
	return strings.Split(strings.TrimSuffix(p.text.String(), "\n"), "\n")
}

// newTestLog logs lines that are nothing but level and message.
func newTestLog(p *pipe) *Log {
	form := zapcore.EncoderConfig{MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder}
	return newLog(p, zapcore.NewJSONEncoder(form), zap.InfoLevel)
}

func wantLines(t *testing.T, p *pipe, want ...string) {
	t.Helper()
	if got := p.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("read\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLog_writesWhatIsLoggedBeforeTheEnd(t *testing.T) {
	p := newPipe()
	l := newTestLog(p)
	l.Info("one")
	l.Debug("nothing")
	l.Warn("two")
	l.Close()
	l.Info("three")
	wantLines(t, p, `{"level":"info","msg":"one"}`, `{"level":"warn","msg":"two"}`)
	if n := l.Dropped(); n != 1 {
		t.Errorf("dropped %d, want 1", n)
	}
}

func TestLog_nobodyWaitsForAReaderThatHangs(t *testing.T) {
	p := newPipe()
	l := newTestLog(p)
	l.Info("first")
	p.hang()
	const more = 20_000 // far beyond the queue; without it, this would never end
	for range more {
		l.Info("more")
	}
	n := l.Dropped()
	p.resume()
	l.Close()
	if kept := uint64(len(p.lines()) - 2); n == 0 || kept != more-n {
		t.Errorf("dropped %d and kept %d of %d", n, kept, more)
	}
}

func TestLog_tellsWhatWasDroppedInItsPlace(t *testing.T) {
	long := strings.Repeat("x", maxQueue/2)
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		l := newTestLog(p)
		p.hang()
		l.Info("being written")
		synctest.Wait()
		l.Info(long)
		l.Info(long)
		l.Info("short enough, but late")
		p.resume()
		l.Close()
		wantLines(t, p, `{"level":"info","msg":"being written"}`, `{"level":"info","msg":"`+long+`"}`,
			`{"level":"warn","msg":"log lines were dropped","lines":2}`)
	})
}

func TestLog_tellsOfALineLongerThanTheQueue(t *testing.T) {
	p := newPipe()
	l := newTestLog(p)
	l.Info(strings.Repeat("x", maxQueue))
	l.Close()
	wantLines(t, p, `{"level":"warn","msg":"log lines were dropped","lines":1}`)
}

func TestLog_outlivesAReaderThatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		p.broken = true
		l := newTestLog(p)
		l.Info("one")
		synctest.Wait()
		l.Info("two")
		synctest.Wait()
		p.broken = false
		l.Info("three")
		l.Close()
		wantLines(t, p, `{"level":"warn","msg":"log lines were dropped","lines":2}`, `{"level":"info","msg":"three"}`)
		if n := l.Dropped(); n != 2 {
			t.Errorf("dropped %d, want 2", n)
		}
	})
}

func TestLog_CloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := newLog(writerFunc(func([]byte) { <-hang }), zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zap.InfoLevel)
		l.Info("")
		began := time.Now()
		l.Close()
		if took := time.Since(began); took != waitLimit {
			t.Errorf("Close took %v, want %v", took, waitLimit)
		}
		close(hang)
	})
}

type writerFunc func([]byte)

func (f writerFunc) Write(text []byte) (int, error) {
	f(text)
	return len(text), nil
}

func TestEncoder(t *testing.T) {
	entry := zapcore.Entry{Level: zap.InfoLevel, Time: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Message: "started"}
	tests := []struct {
		name     string
		terminal bool
		want     string
	}{
		{"one object a line for machines", false, `{"level":"info","time":"2026-01-31T12:00:00Z","msg":"started","node":"test1","after":"1s"}` + "\n"},
		{"short for a reader", true, "12:00:00\t\x1b[34mINFO\x1b[0m\tstarted\t{\"after\": \"1s\"}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := newEncoder(tt.terminal, []zap.Field{zap.String("node", "test1")}).
				EncodeEntry(entry, []zap.Field{zap.Duration("after", time.Second)})
			if err != nil || text.String() != tt.want {
				t.Errorf("line %q, %v; want %q", text, err, tt.want)
			}
		})
	}
}
