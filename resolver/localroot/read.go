package localroot

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/dns"
)

const (
	// MaxSize bounds a copy of the root, in octets, as a file and as a transfer.
	// 32 MiB: the root has 2.3 MiB as text, and 1.4 MiB as messages.
	MaxSize = 32 << 20

	// maxEntry bounds a record of a file, over however many lines it goes, with
	// the comments before it, in octets. 64 KiB: the longest of the root have some
	// 500, and a signature by post-quantum algorithms 10 KiB.
	maxEntry = 64 << 10
)

// Read reads the root zone from a master file (RFC 1035 section 5), unknown
// types included (RFC 3597). It knows neither $INCLUDE nor $GENERATE. An error
// names the line.
func Read(r io.Reader) (*Zone, error) {
	text := &textReader{r: bufio.NewReader(r), line: 1}
	parser := dns.NewZoneParser(text, ".", "")
	var pile Pile
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if err := pile.Add(rr); err != nil {
			return nil, fmt.Errorf("localroot: line %d: %w", text.line, err)
		}
		text.entry = 0
	}
	var bad *dns.ParseError // which names the line
	switch err := parser.Err(); {
	case errors.As(err, &bad):
		return nil, fmt.Errorf("localroot: %w", err)
	case err != nil:
		return nil, fmt.Errorf("localroot: line %d: %w", text.line, err)
	}
	return pile.Zone()
}

// Why a file is not read on.
var (
	errSize     = fmt.Errorf("more than %d octets", MaxSize)
	errEntry    = fmt.Errorf("a record of more than %d octets", maxEntry)
	errNUL      = errors.New("an octet that no text has")
	errGenerate = errors.New("$GENERATE, which the root has no use for")
)

// generate is the directive that the parser would obey: 65,536 records a line.
const generate = "$GENERATE"

// A textReader hands out a file octet by octet, and ends it with an error where
// it cannot be the root's.
type textReader struct {
	r      *bufio.Reader
	octets int
	entry  int // of these since the last record
	line   int
	match  int // octets of generate read last
}

// ReadByte implements io.ByteReader.
func (t *textReader) ReadByte() (byte, error) {
	c, err := t.r.ReadByte()
	if err != nil {
		return 0, err
	}
	t.octets++
	t.entry++
	if c == '\n' {
		t.line++
	}
	switch {
	case t.octets > MaxSize:
		return 0, errSize
	case t.entry > maxEntry:
		return 0, errEntry
	case c == 0:
		return 0, errNUL
	case t.generates(c):
		return 0, errGenerate
	}
	return c, nil
}

// generates reports whether c is the last letter of the directive, wherever it
// stands. The parser passes over parentheses and returns within a word, and so
// does this.
func (t *textReader) generates(c byte) bool {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case '(', ')', '\r':
		return false
	case generate[t.match]:
		t.match++
	case generate[0]:
		t.match = 1
	default:
		t.match = 0
	}
	if t.match < len(generate) {
		return false
	}
	t.match = 0
	return true
}

// Read implements io.Reader, which the parser's signature asks for. It reads
// one octet at a time, as the parser does.
func (t *textReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
