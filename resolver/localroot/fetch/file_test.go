package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"proxima/clock"

	"github.com/miekg/dns"
)

// mustWrite puts text in the place of a file that was written at a time.
func mustWrite(t testing.TB, file, text string, at time.Time) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file+".new", at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// serialText is the master file of the root of a serial.
func serialText(t testing.TB, serial string) string {
	t.Helper()
	rrs, _ := mustSign(t, serial)
	return textOf(rrs)
}

func TestKeeper_followsTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "root.zone")
		k, c, told := mustKeep(t, Options{File: file})
		pass := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			k.Run(ctx)
		}
		pass(time.Second)
		if len(told.faults) != 1 || c.Zone() != nil {
			t.Errorf("without a file: %+v", told)
		}
		mustWrite(t, file, serialText(t, "1"), clock.Now())
		pass(time.Second)
		mustWrite(t, file, serialText(t, "2"), clock.Now())
		pass(lookPause + time.Second)
		if !slices.Equal(told.taken, []uint32{1, 2}) {
			t.Errorf("took %v, want 1 and 2", told.taken)
		}
		mustWrite(t, file, "nonsense", clock.Now())
		pass(time.Hour)
		if z := c.Zone(); z == nil || z.Serial() != 2 || len(told.faults) != 2 || c.Stats().Failures < 4 {
			t.Errorf("a bad file: %v, %+v, %d failures", z, told, c.Stats().Failures)
		}
		pass(7*24*time.Hour - time.Hour - 2*lookPause)
		if told.aged != 1 || told.expired != 0 {
			t.Errorf("before its end: %+v", told)
		}
		pass(2 * lookPause)
		if told.expired != 1 || c.Zone() != nil {
			t.Errorf("after its end: %+v", told)
		}
		mustWrite(t, file, serialText(t, "1"), clock.Now()) // older, but there is none now
		pass(lookPause + time.Second)
		if z := c.Zone(); z == nil || z.Serial() != 1 {
			t.Errorf("a good file again: %v, %q", z, told.faults)
		}
	})
}

func TestKeeper_countsTheLifeOfAFileFromWhenItWasWritten(t *testing.T) {
	tests := []struct {
		name string
		ago  time.Duration
		left time.Duration // 0: it is refused
	}{
		{"just now", 0, 7 * 24 * time.Hour},
		{"yesterday", 24 * time.Hour, 6 * 24 * time.Hour},
		{"tomorrow, as some clock says", -24 * time.Hour, 7 * 24 * time.Hour},
		{"last week", 7 * 24 * time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "root.zone")
				mustWrite(t, file, serialText(t, "1"), clock.Now().Add(-tt.ago))
				k, c, told := mustKeep(t, Options{File: file})
				k.ReadFile()
				if got := c.Stats().Left; got != tt.left {
					t.Errorf("%v left, want %v; faults %q", got, tt.left, told.faults)
				}
			})
		})
	}
}

func TestKeeper_judgesSignaturesForTheTimeItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "root.zone")
		mustWrite(t, file, serialText(t, "1"), clock.Now())
		signed := clock.Now()
		time.Sleep(30 * 24 * time.Hour)
		mustTouch(t, file, clock.Now())
		k, c, told := mustKeep(t, Options{File: file, Time: signed.Add(10 * 24 * time.Hour)})
		k.ReadFile()
		if got, want := c.Stats().Left, 4*24*time.Hour; got != want {
			t.Errorf("%v left, want %v; faults %q", got, want, told.faults)
		}
	})
}

func mustTouch(t testing.TB, file string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestKeeper_waitsForNobody(t *testing.T) {
	k, c, told := mustKeep(t, Options{File: "/dev/zero"})
	k.ReadFile()
	k.File = t.TempDir()
	k.ReadFile()
	if c.Zone() != nil || len(told.faults) != 2 {
		t.Errorf("faults %q", told.faults)
	}
}

// spoilers make a good master file a bad one, each in one way.
func spoilers(good string) map[string]string {
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			panic("no " + old)
		}
		return strings.Replace(good, old, with, 1)
	}
	lines := strings.SplitAfter(good, "\n")
	bad := map[string]string{
		"empty":                           "",
		"blank":                           " \n\t\n",
		"comments alone":                  "; a\n; b\n",
		"a NUL":                           good + "\x00",
		"half of a line at the end":       good[:len(good)-40],
		"half of it":                      good[:len(good)/2],
		"its second half":                 good[len(good)/2:],
		"twice":                           good + good[:strings.IndexByte(good, '\n')] + "x\n",
		"an HTML page":                    "<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
		"JSON":                            `{"root": []}`,
		"a gzip header":                   "\x1f\x8b\x08\x00" + good,
		"a byte order mark":               "\xef\xbb\xbf" + good,
		"UTF-16":                          "\xff\xfe" + strings.Join(strings.Split(good, ""), "\x00"),
		"an unclosed parenthesis":         good + "x. TXT (\n",
		"a parenthesis too many":          good + "x. TXT a )\n",
		"an unclosed quote":               good + "x. TXT \"a\n",
		"a label of 64":                   good + strings.Repeat("a", 64) + ". NS a.\n",
		"a name of 256":                   good + strings.Repeat("aaaaaaaaa.", 26) + " NS a.\n",
		"an empty label":                  good + "a..b. NS a.\n",
		"a bad escape":                    good + "a\\999. NS a.\n",
		"an escape at the end":            good + "a\\",
		"a type that is none":             good + "x. 1 IN BOGUS a\n",
		"a type number too large":         good + "x. 1 IN TYPE65536 \\# 0\n",
		"unknown data too short":          good + "x. 1 IN TYPE65280 \\# 4 00\n",
		"unknown data too long":           good + "x. 1 IN TYPE65280 \\# 1 0000\n",
		"unknown data not hexadecimal":    good + "x. 1 IN TYPE65280 \\# 1 zz\n",
		"unknown data without length":     good + "x. 1 IN TYPE65280 \\#\n",
		"an address of three octets":      good + "x. 1 IN A 192.0.2\n",
		"an IPv6 address in A":            good + "x. 1 IN A 2001:db8::1\n",
		"a TTL that is none":              good + "x. 1z IN A 192.0.2.1\n",
		"a negative TTL":                  good + "x. -1 IN A 192.0.2.1\n",
		"a class that is none":            good + "x. 1 INN A 192.0.2.1\n",
		"class CH":                        good + "x. 1 CH TXT a\n",
		"a second SOA":                    good + ". 1 IN SOA a. b. 2 1 1 1 1\n",
		"an SOA of a serial too large":    replace(" 1 1800", " 4294967296 1800"),
		"an SOA without timers":           replace(" 1800 900 604800 86400", ""),
		"no SOA":                          strings.Join(lines[1:], ""),
		"another zone's SOA":              replace(".\t86400\tIN\tSOA", "example.\t86400\tIN\tSOA"),
		"$INCLUDE":                        good + "$INCLUDE /etc/passwd\n",
		"$INCLUDE of itself":              good + "$INCLUDE root.zone\n",
		"$GENERATE":                       good + "$GENERATE 1-65535 a$ NS b.\n",
		"$GENERATE in a parenthesis":      good + "($GENERATE 1-65535 a$ NS b.)\n",
		"$GENERATE over two lines":        good + "$GEN(\r)ERATE 1-2 a$ NS b.\n",
		"a directive that is none":        good + "$FOO bar\n",
		"$ORIGIN that is none":            "$ORIGIN ..\n" + good,
		"$ORIGIN without a name":          "$ORIGIN\n" + good,
		"$TTL that is none":               "$TTL never\n" + good,
		"a line of 64 KiB":                good + ";" + strings.Repeat("x", 64<<10) + "\n",
		"a wildcard":                      good + "*. 1 IN A 192.0.2.1\n",
		"an alias":                        good + "x. 1 IN CNAME a.\n",
		"a DNAME":                         good + "x. 1 IN DNAME a.\n",
		"an OPT record":                   good + ". 1 IN TYPE41 \\# 0\n",
		"a record of type 0":              good + ". 1 IN TYPE0 \\# 0\n",
		"one delegation more":             good + "x. 1 IN NS ns.example.\n",
		"one address more":                good + "ns.example. 3600 IN A 192.0.2.66\n",
		"one record twice and another of": good + "test. 3600 IN NS ns.example.\n",
		"an address changed":              replace("192.0.2.3", "192.0.2.4"),
		"a DS changed":                    replace("DS\t1 13", "DS\t2 13"),
		"a serial that nobody signed":     replace(" 1 1800", " 2 1800"),
		"an NSEC changed":                 replace("NSEC\ttest.", "NSEC\ttesta."),
		"a signature without data":        good + "x. 1 IN RRSIG\t",
		"a set of 257":                    good + strings.Repeat("test. 1 IN DS 1 13 2 00\n", 257),
	}
	for i, line := range lines {
		if strings.Contains(line, "RRSIG\t") {
			bad[fmt.Sprintf("without the signature of line %d", i+1)] = strings.Replace(good, line, "", 1)
		}
	}
	return bad
}

// RESOLVING class B10: a bad file keeps the old data.
func TestKeeper_keepsTheOldDataOfEachBadFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "root.zone")
		good := serialText(t, "1")
		mustWrite(t, file, good, clock.Now())
		k, c, told := mustKeep(t, Options{File: file})
		k.ReadFile()
		if c.Zone() == nil {
			t.Fatal(told.faults)
		}
		bad := spoilers(good)
		if len(bad) < 60 {
			t.Errorf("%d bad files, want 60", len(bad))
		}
		for name, text := range bad {
			clear(k.faults)
			told.faults = nil
			time.Sleep(time.Second)
			mustWrite(t, file, text, clock.Now())
			k.ReadFile()
			if len(told.faults) != 1 {
				t.Errorf("%s: told %q", name, told.faults)
			}
			if z := c.Zone(); z == nil || z.Serial() != 1 || c.Answer(dns.Question{Name: "test.", Qtype: dns.TypeNS, Qclass: dns.ClassINET}) == nil {
				t.Fatalf("%s: the old zone went", name)
			}
		}
		if got, want := c.Stats().Failures, uint64(len(bad)); got != want {
			t.Errorf("%d failures, want %d", got, want)
		}
		mustWrite(t, file, serialText(t, "2"), clock.Now())
		k.ReadFile()
		if z := c.Zone(); z == nil || z.Serial() != 2 {
			t.Errorf("a good file after all of them: %v, %q", z, told.faults)
		}
	})
}
