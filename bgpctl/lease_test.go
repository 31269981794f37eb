package bgpctl

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestLease_round_trip(t *testing.T) {
	want := Lease{Version: ProtocolVersion, BootID: "b", PID: 7, Start: 8, Seq: 9, TTL: 3000, Wish: Drain, Check: "dns", Reason: "no reply", Prefixes: prefixes, Queries: 10}
	datagram, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseLease(datagram)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseLease = %+v, %v; want %+v", got, err, want)
	}
}

func TestReply_round_trip(t *testing.T) {
	want := Reply{Version: ProtocolVersion, Seq: 9, State: Announced, Since: time.Unix(1, 0).UTC(), Announced: prefixes, SessionsUp: 1, Sessions: 2, Refused: true, Error: "held"}
	datagram, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseReply(datagram)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseReply = %+v, %v; want %+v", got, err, want)
	}
}

func TestLease_largest_fits(t *testing.T) {
	l := Lease{BootID: strings.Repeat("b", maxText), Check: strings.Repeat("\x01", 999), Reason: strings.Repeat("\x01", 999)}
	for i := range MaxPrefixes {
		l.Prefixes = append(l.Prefixes, netip.MustParsePrefix(fmt.Sprintf("2001:db8:ffff:ffff:ffff:ffff:ffff:ff%02x/128", i)))
	}
	datagram, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseLease(datagram); err != nil {
		t.Errorf("ParseLease = %v, want nil", err)
	}
}

func TestLease_any_text_survives(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"short", "no reply", "no reply"},
		{"octets that are no text", strings.Repeat("\xff", maxText), "?"},
		{"octets that are no text, one by one", strings.Repeat("\xffa", maxText), strings.Repeat("?a", maxText/2)},
		{"cut within a letter", strings.Repeat("a", maxText-1) + "é", strings.Repeat("a", maxText-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			datagram, err := Lease{Check: tt.text, Reason: tt.text}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if l, err := ParseLease(datagram); err != nil || l.Reason != tt.want || l.Check != tt.want {
				t.Errorf("ParseLease = %q, %v; want %q", l.Reason, err, tt.want)
			}
		})
	}
}

func TestParseLease_refuses(t *testing.T) {
	tests := []struct {
		name     string
		datagram string
	}{
		{"nothing", ""},
		{"noise", "\x00\x01\x02"},
		{"a version of the future", `{"v":99,"wish":"up"}`},
		{"no version", `{"wish":"up"}`},
		{"a wish it does not know", `{"v":2,"wish":"sideways"}`},
		{"a prefix that is none", `{"v":2,"wish":"up","prefixes":["198.51.100.0"]}`},
		{"an empty prefix", `{"v":2,"wish":"up","prefixes":[""]}`},
		{"too many prefixes", `{"v":2,"wish":"up","prefixes":[` + strings.Repeat(`"192.0.2.0/24",`, MaxPrefixes) + `"192.0.2.0/24"]}`},
		{"a text that is too long", `{"v":2,"wish":"up","reason":"` + strings.Repeat("a", maxText+1) + `"}`},
		{"a datagram that is too long", `{"v":2,"wish":"up","x":"` + strings.Repeat("a", MaxDatagram) + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if l, err := ParseLease([]byte(tt.datagram)); err == nil {
				t.Errorf("ParseLease = %+v, want an error", l)
			}
		})
	}
}

func FuzzParseLease(f *testing.F) {
	f.Add([]byte(`{"v":2,"boot_id":"b","pid":1,"start":1,"seq":1,"ttl_ms":3000,"wish":"up","prefixes":["198.51.100.0/24"],"queries":1}`))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		l, err := ParseLease(datagram)
		if err != nil {
			return
		}
		again, err := l.Encode()
		if err != nil {
			t.Fatalf("Encode of a lease that was read: %v", err)
		}
		if _, err := ParseLease(again); err != nil {
			t.Fatalf("ParseLease of what Encode made: %v", err)
		}
	})
}
