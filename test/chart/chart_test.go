package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	var b strings.Builder
	err := Draw(&b, []Panel{
		{"hit <UDP>", []Bar{{"one", 10, "10"}, {"ours", 5, "5"}, {"absent", math.NaN(), "-"}}},
		{"nothing", []Bar{{"one", 0, "0"}}},
		{"third", nil},
	}, "ours", "a & b")
	if err != nil {
		t.Fatal(err)
	}
	widths := map[string]bool{}
	var text []string
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err, b.String())
		}
		switch token := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				text = append(text, s)
			}
		case xml.StartElement:
			for _, a := range token.Attr {
				if a.Name.Local == "width" {
					widths[a.Value] = true
				}
			}
		}
	}
	if got, want := strings.Join(text, "|"), "hit <UDP>|one|10|ours|5|nothing|one|0|third|a & b"; got != want {
		t.Errorf("the picture says %q, want %q", got, want)
	}
	if !widths["294.0"] || !widths["147.0"] || !widths["0.0"] {
		t.Errorf("the bars are %v wide", widths)
	}
}
