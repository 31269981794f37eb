package anchor

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestRoots_agreeWithThePublishedFile(t *testing.T) {
	f, err := os.Open("testdata/named.root")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := ReadHints(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := Roots(); !reflect.DeepEqual(got, want) {
		t.Errorf("Roots = %v\nwant %v", got, want)
	}
}

func TestRoots_areEachCallersOwn(t *testing.T) {
	Roots()[0].Addrs[0] = netip.Addr{}
	if got := Roots()[0].Addrs[0]; !got.IsValid() {
		t.Error("a caller's change reached the next caller")
	}
}

func TestReadHints(t *testing.T) {
	const good = ". NS ns1.example.\nns1.example. A 192.0.2.1\n"
	tests := []struct {
		name string
		text string
		want []Server
	}{
		{"both families", good + "ns1.example. AAAA 2001:db8::1\n", []Server{
			{"ns1.example.", addrs("192.0.2.1", "2001:db8::1")},
		}},
		{"no TTL and no class", good, []Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"no line end at the end", strings.TrimSuffix(good, "\n"), []Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"line ends of another system", strings.ReplaceAll(good, "\n", "\r\n"), []Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"capitals, comments and empty lines", "; hints\n\n. 3600000 IN NS NS1.EXAMPLE. ; first\n\nNs1.Example. 60 IN A 192.0.2.1\n",
			[]Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"names relative to the root", ". NS ns1.example\nns1.example A 192.0.2.1\n", []Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"addresses before names", "ns1.example. A 192.0.2.1\n. NS ns1.example.\n", []Server{{"ns1.example.", addrs("192.0.2.1")}}},
		{"servers in the order of the NS records", ". NS b.example.\n. NS a.example.\na.example. A 192.0.2.1\nb.example. A 192.0.2.2\n",
			[]Server{{"b.example.", addrs("192.0.2.2")}, {"a.example.", addrs("192.0.2.1")}}},
		{"a record twice counts once", good + good, []Server{{"ns1.example.", addrs("192.0.2.1")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadHints(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("servers = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReadHints_refuses(t *testing.T) {
	const good = ". NS ns1.example.\nns1.example. A 192.0.2.1\n"
	tests := []struct {
		name string
		text string
		want string // part of the error
	}{
		{"an empty file", "", "no NS record of the root"},
		{"addresses alone", "ns1.example. A 192.0.2.1\n", "no NS record of the root"},
		{"a server without address", good + ". NS ns2.example.\n", "line 3: no address of ns2.example."},
		{"an address of a stranger", good + "ns2.example. A 192.0.2.2\n", "line 3: address of ns2.example."},
		{"servers of another zone", good + "example. NS ns1.example.\n", "line 3: NS record of example."},
		{"another type", good + "ns1.example. TXT hello\n", "line 3: TXT record"},
		{"another class", good + "\n; two lines further\nns1.example. CH A 192.0.2.1\n", "line 5:"},
		{"a bad address", good + "ns1.example. A 192.0.2.256\n", "line 3:"},
		{"a multicast address", good + "ns1.example. A 224.0.0.1\n", "line 3: address 224.0.0.1"},
		{"the unspecified address", good + "ns1.example. AAAA ::\n", "line 3: address ::"},
		{"a file included", good + "$INCLUDE other\n", "line 3:"},
		{"no zone file at all", "<html>\n<body>\n", "line 1:"},
		{"a generator of servers", "$GENERATE 1-60000 . NS ns$.example.\n", "more than 13 servers"},
		{"a generator of addresses", ". NS ns1.example.\n$GENERATE 1-200 ns1.example. A 192.0.2.$\n", "more than 78 addresses"},
		{"seven addresses of one server", good + repeat(6, "ns1.example. A 192.0.2.1%d\n"), "line 8: more than 6 addresses of ns1.example."},
		{"fourteen servers", repeat(14, ". NS ns%d.example.\n"), "line 14: more than 13 servers"},
		{"a file without end", strings.Repeat("; the Aeneid\n", 10_000), "more than 65536 octets"},
		{"a line without end", ". NS " + strings.Repeat("a", maxHintsSize), "line 1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadHints(strings.NewReader(tt.text))
			if err == nil {
				t.Fatalf("no error but %v", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
		})
	}
}

func FuzzReadHints(f *testing.F) {
	f.Add(". NS ns1.example.\nns1.example. A 192.0.2.1\n")
	f.Add("$GENERATE 1-3 . NS ns$.example.\n$TTL 1h\n$ORIGIN .\n@ ( NS\n a )")
	f.Fuzz(func(t *testing.T, text string) {
		servers, err := ReadHints(strings.NewReader(text))
		if err == nil && (len(servers) == 0 || len(servers) > maxServers) {
			t.Errorf("%d servers and no error", len(servers))
		}
		for _, s := range servers {
			if len(s.Addrs) == 0 || len(s.Addrs) > maxAddresses {
				t.Errorf("%s has %d addresses", s.Name, len(s.Addrs))
			}
		}
	})
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// repeat returns n lines that count from 0.
func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
