package bird

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// maxReply bounds what one reply may say, in lines: a node has at most 64
// prefixes in each of 16 groups, with a dozen lines each.
const maxReply = 20_000

// done are the codes of configure that mean that the new file holds, or will in
// a moment: reconfigured, in progress, queued.
var done = []int{3, 4, 5}

// ask says a line to BIRD on its control socket and returns the lines of its
// reply, without their codes, and the last code. Codes from 8000 are errors.
func ask(ctx context.Context, path, line string) ([]string, int, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(at); err != nil {
			return nil, 0, err
		}
	}
	r := bufio.NewScanner(c)
	if _, _, err := reply(r); err != nil {
		return nil, 0, err // the greeting
	}
	if _, err := fmt.Fprintln(c, line); err != nil {
		return nil, 0, err
	}
	lines, code, err := reply(r)
	if err == nil && code >= 8000 {
		err = fmt.Errorf("%q: %04d %s", line, code, strings.Join(lines, "; "))
	}
	return lines, code, err
}

// reply reads to the end of a reply. A line is "1234-text", or "1234 text" if it
// is the last; one that begins with a space goes on with the code before, and
// one that begins with a plus sign belongs to no reply.
func reply(r *bufio.Scanner) (lines []string, code int, err error) {
	for len(lines) < maxReply && r.Scan() {
		text := r.Text()
		switch {
		case strings.HasPrefix(text, "+"):
			continue
		case strings.HasPrefix(text, " "):
			lines = append(lines, text[1:])
			continue
		case len(text) < 5:
			return nil, 0, fmt.Errorf("%q is no reply of BIRD", text)
		}
		if code, err = strconv.Atoi(text[:4]); err != nil {
			return nil, 0, fmt.Errorf("%q is no reply of BIRD", text)
		}
		lines = append(lines, text[5:])
		if text[4] == ' ' {
			return lines, code, nil
		}
	}
	if err := r.Err(); err != nil {
		return nil, 0, err
	}
	return nil, 0, fmt.Errorf("the reply of BIRD does not end within %d lines", maxReply)
}

// configure has BIRD read its files again, and nothing restart that has not
// changed.
func configure(ctx context.Context, path string) error {
	lines, code, err := ask(ctx, path, "configure soft")
	if err == nil && !slices.Contains(done, code) {
		err = fmt.Errorf("configure: %04d %s", code, strings.Join(lines, "; "))
	}
	return err
}
