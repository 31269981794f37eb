//go:build linux

package internet

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// The files in the folder with the data.
const (
	// RootZone is the root zone of 15 February 2022, signed.
	RootZone = "root.zone.2022021501.gz"
	// TopNames are much used domain names, RandomNames others.
	TopNames    = "opendns-top-domains.txt"
	RandomNames = "opendns-random-domains.txt"
)

// FindData returns the folder with the root zone and the lists: PROXIMA_DATA,
// or shared/data beside the checkout.
func FindData() (string, error) {
	dir := os.Getenv("PROXIMA_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, RootZone)); err != nil {
		return "", errors.New("no genuine root zone here: set PROXIMA_DATA to the folder that holds " + RootZone + " and the lists of names")
	}
	return dir, nil
}

// ReadNames reads a list of domain names, one a line.
func ReadNames(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var names []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name := strings.TrimSpace(lines.Text()); name != "" {
			names = append(names, name)
		}
	}
	return names, lines.Err()
}

// ReadRoot reads the root zone in the folder.
func ReadRoot(data string) ([]dns.RR, error) {
	file := filepath.Join(data, RootZone)
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var all []dns.RR
	zone := dns.NewZoneParser(text, ".", file)
	for rr, ok := zone.Next(); ok; rr, ok = zone.Next() {
		all = append(all, rr)
	}
	return all, zone.Err()
}
