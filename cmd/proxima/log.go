package main

import (
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"proxima/config"
)

// newLog returns the daemon's log on the standard error: for a reader on a
// terminal, one JSON object a line elsewhere. Nothing is ever logged for a
// single packet.
func newLog(c *config.Node) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(c.Log.Level)
	if err != nil {
		return nil, err
	}
	form := zapcore.EncoderConfig{
		MessageKey:     "msg",
		LevelKey:       "level",
		TimeKey:        "time",
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		core := zapcore.NewCore(zapcore.NewJSONEncoder(form), zapcore.Lock(os.Stderr), level)
		return zap.New(core, zap.Fields(zap.String("node", c.Node.ID))), nil
	}
	form.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly)
	form.EncodeLevel = zapcore.CapitalColorLevelEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(form), zapcore.Lock(os.Stderr), level)), nil
}
