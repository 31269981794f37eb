//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"proxima/test/chart"
)

// A report is what all runs gave.
type report struct {
	machine string
	peers   []*peer
	values  map[string]map[string][]float64 // by figure and peer, one a run
}

func (r *report) add(f figure, p *peer, value float64) {
	if r.values[f.name] == nil {
		r.values[f.name] = map[string][]float64{}
	}
	if !math.IsNaN(value) {
		r.values[f.name][p.name] = append(r.values[f.name][p.name], value)
	}
}

// median is the middle of the runs; NaN without any.
func (r *report) median(f figure, p *peer) float64 {
	runs := slices.Clone(r.values[f.name][p.name])
	if len(runs) == 0 {
		return math.NaN()
	}
	slices.Sort(runs)
	return (runs[(len(runs)-1)/2] + runs[len(runs)/2]) / 2
}

// print writes the table: a row for each figure, a column for each peer, and
// the ratios to the first peer last.
func (r *report) print(w io.Writer) {
	others := r.peers[1:]
	head := []string{"figure"}
	for _, p := range r.peers {
		head = append(head, p.name)
	}
	for _, p := range others {
		head = append(head, p.name+"/"+r.peers[0].name)
	}
	rows := [][]string{head}
	for _, m := range measures {
		for _, f := range m.figures {
			if r.values[f.name] == nil {
				continue
			}
			row := []string{f.name}
			for _, p := range r.peers {
				row = append(row, number(r.median(f, p), f.digits))
			}
			for _, p := range others {
				ratio := math.NaN()
				if f.ratio {
					ratio = r.median(f, p) / r.median(f, r.peers[0])
				}
				row = append(row, number(ratio, 2))
			}
			rows = append(rows, row)
		}
	}
	fmt.Fprintf(w, "%s\n\n", r.machine)
	align(w, rows)
}

func number(x float64, digits int) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case x == float64(never.Microseconds()):
		return "never"
	}
	return strconv.FormatFloat(x, 'f', digits, 64)
}

// align writes rows, the first of them the head, as a table that is Markdown
// too.
func align(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s |", cell, pad)
			} else {
				fmt.Fprintf(w, " %s%s |", pad, cell)
			}
		}
		fmt.Fprintln(w)
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i == 0 {
				fmt.Fprintf(w, "|-%s-|", strings.Repeat("-", width))
			} else {
				fmt.Fprintf(w, "-%s:|", strings.Repeat("-", width))
			}
		}
		fmt.Fprintln(w)
	}
}

// save writes every run as JSON.
func (r *report) save(file string) error {
	versions := map[string]string{}
	for _, p := range r.peers {
		versions[p.name] = p.version
	}
	text, err := json.MarshalIndent(map[string]any{"machine": r.machine, "versions": versions, "runs": r.values}, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// draw makes a picture of the figures that the first peer is compared by.
func (r *report) draw(file string) error {
	var panels []chart.Panel
	for _, m := range measures {
		for _, f := range m.figures {
			if !f.ratio || r.values[f.name] == nil {
				continue
			}
			panel := chart.Panel{Title: f.name}
			for _, p := range r.peers {
				value := r.median(f, p)
				panel.Bars = append(panel.Bars, chart.Bar{Name: p.name, Value: value, Text: number(value, f.digits)})
			}
			panels = append(panels, panel)
		}
	}
	var b bytes.Buffer
	if err := chart.Draw(&b, panels, "proxima", "less is better; "+r.machine); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// machine says where this was measured, and what else ran there.
func machine() string {
	model := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	count := 0
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			count++
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	busy, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%d x %s, Linux %s, load %s at the start", count, model, strings.TrimSpace(string(release)), strings.Join(strings.Fields(string(busy))[:3], " "))
}
