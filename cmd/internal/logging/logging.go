// Package logging writes a program's log to the standard error, and lets nobody
// wait for whoever reads it.
//
// A line is encoded by the goroutine that logs it and put into a queue, which
// one goroutine of the package writes out. If the reader hangs, the queue
// fills up and further lines are dropped; if the reader has gone, writes fail and
// their lines are dropped. What was dropped is counted, and told by a line in
// its place as soon as lines get through again. Close waits a second for what
// is queued, and no longer.
package logging

import (
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// waitLimit bounds how long the end of a program waits for the reader of its
// standard error. 1 s, not configurable: a reader that lives takes milliseconds.
const waitLimit = time.Second

// A Log is a zap.Logger whose calls never block. The zero value with a Logger
// drops nothing and needs no Close.
type Log struct {
	*zap.Logger
	queue *queue
}

// New returns the log of a program: for a reader on a terminal, one JSON object
// with the fields a line elsewhere. It tells changes of state, never a single
// packet. An error says that there is no such level.
func New(level string, fields ...zap.Field) (*Log, error) {
	least, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	return newLog(os.Stderr, newEncoder(term.IsTerminal(int(os.Stderr.Fd())), fields), least), nil
}

func newLog(out io.Writer, encoder zapcore.Encoder, least zapcore.Level) *Log {
	q := newQueue(out, func(lines uint64) []byte {
		entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "log lines were dropped"}
		text, err := encoder.Clone().EncodeEntry(entry, []zap.Field{zap.Uint64("lines", lines)})
		if err != nil {
			return nil // no field of this line can be at fault
		}
		return text.Bytes()
	})
	return &Log{zap.New(zapcore.NewCore(encoder, q, least)), q}
}

func newEncoder(terminal bool, fields []zap.Field) zapcore.Encoder {
	form := zapcore.EncoderConfig{
		MessageKey:     "msg",
		LevelKey:       "level",
		TimeKey:        "time",
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	if terminal {
		form.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly)
		form.EncodeLevel = zapcore.CapitalColorLevelEncoder
		return zapcore.NewConsoleEncoder(form)
	}
	encoder := zapcore.NewJSONEncoder(form)
	for _, f := range fields {
		f.AddTo(encoder)
	}
	return encoder
}

// Dropped returns how many lines nobody will read.
func (l *Log) Dropped() uint64 {
	if l.queue == nil {
		return 0
	}
	return l.queue.dropped.Load()
}

// Close writes what is queued, for a second at most. What is logged later is
// dropped.
func (l *Log) Close() {
	if l.queue != nil {
		l.queue.close()
	}
}

// Print writes a line to the standard error, for a second at most: the last
// words of a program must not keep it from ending.
func Print(line string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = os.Stderr.WriteString(line + "\n") // there is nowhere else to say so
	}()
	select {
	case <-done:
	case <-time.After(waitLimit):
	}
}
