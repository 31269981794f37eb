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

	// maxLine bounds a line of a file, in octets. 64 KiB: the longest of the root
	// have some 500, and a signature by post-quantum algorithms 10 KiB.
	maxLine = 64 << 10
)

// Read reads the root zone from a master file (RFC 1035 section 5), unknown
// types included (RFC 3597). It knows neither $INCLUDE nor $GENERATE. An error
// names the line.
func Read(r io.Reader) (*Zone, error) {
	text := &textReader{r: bufio.NewReader(r), line: 1}
	parser := dns.NewZoneParser(text, ".", "")
	var rrs []dns.RR
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if len(rrs) == MaxRecords {
			return nil, fmt.Errorf("localroot: line %d: more than %d records", text.line, MaxRecords)
		}
		rrs = append(rrs, rr)
	}
	var bad *dns.ParseError // which names the line
	switch err := parser.Err(); {
	case errors.As(err, &bad):
		return nil, fmt.Errorf("localroot: %w", err)
	case err != nil:
		return nil, fmt.Errorf("localroot: line %d: %w", text.line, err)
	}
	return New(rrs)
}

// Why a file is not read on.
var (
	errSize     = fmt.Errorf("more than %d octets", MaxSize)
	errLine     = fmt.Errorf("a line of more than %d octets", maxLine)
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
	column int
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
	t.column++
	if c == '\n' {
		t.line++
		t.column = 0
	}
	switch {
	case t.octets > MaxSize:
		return 0, errSize
	case t.column > maxLine:
		return 0, errLine
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
