// Package chart draws figures of several servers as bars, panel by panel, in a
// picture that a page of documentation can show.
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Panel is one figure.
type Panel struct {
	Title string
	Bars  []Bar
}

// A Bar is what one server gave.
type Bar struct {
	Name  string
	Value float64 // its length; NaN leaves the bar out
	Text  string  // what stands at its end
}

// Sizes, in pixels.
const (
	columns    = 2
	panelWidth = 460
	nameWidth  = 90
	textWidth  = 60
	barHeight  = 16
	barStep    = 22
	titleStep  = 28
	margin     = 16
)

// Draw writes the panels as SVG, two in a row, with a caption below; bars of
// the server named own are set off from the others.
func Draw(w io.Writer, panels []Panel, own, caption string) error {
	bars := 0
	for _, p := range panels {
		bars = max(bars, len(p.Bars))
	}
	panelHeight := titleStep + bars*barStep + margin
	rows := (len(panels) + columns - 1) / columns
	width, height := columns*panelWidth+margin, margin+rows*panelHeight+barStep
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	for i, p := range panels {
		p.draw(&b, margin+i%columns*panelWidth, margin+i/columns*panelHeight, own)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#666666">%s</text>`+"\n</svg>\n", margin, height-margin/2, escape(caption))
	_, err := io.WriteString(w, b.String())
	return err
}

// draw adds the panel with its upper left corner at x and y. Its longest bar
// fills the width.
func (p Panel) draw(b *strings.Builder, x, y int, own string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", x, y+barHeight-4, escape(p.Title))
	longest := 0.0
	for _, bar := range p.Bars {
		if !math.IsNaN(bar.Value) {
			longest = max(longest, bar.Value)
		}
	}
	y += titleStep
	for _, bar := range p.Bars {
		if math.IsNaN(bar.Value) {
			continue
		}
		length := 0.0
		if longest > 0 {
			length = bar.Value / longest * (panelWidth - nameWidth - textWidth - margin)
		}
		colour := "#9aa5b1"
		if bar.Name == own {
			colour = "#1f6feb"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, x+nameWidth-8, y+barHeight-4, escape(bar.Name))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, x+nameWidth, y, length, barHeight, colour)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", float64(x+nameWidth)+length+6, y+barHeight-4, escape(bar.Text))
		y += barStep
	}
}

// escape makes text fit for XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder refuses nothing
	return b.String()
}
