package selection

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

	near  = netip.MustParseAddrPort("192.0.2.1:53")
	far   = netip.MustParseAddrPort("192.0.2.2:53")
	other = netip.MustParseAddrPort("192.0.2.3:53")
	six   = netip.MustParseAddrPort("[2001:db8::1]:53")
	six2  = netip.MustParseAddrPort("[2001:db8::2]:53")
	six3  = netip.MustParseAddrPort("[2001:db8::3]:53")
)

// A note is one call of Note, made at start plus after.
type note struct {
	to    netip.AddrPort
	o     Outcome
	rtt   time.Duration
	after time.Duration
}

func TestTable_Next_prefers(t *testing.T) {
	const ms = time.Millisecond
	both := []netip.AddrPort{far, near}
	tests := []struct {
		name  string
		notes []note
		from  []netip.AddrPort
		tried []netip.AddrPort
		after time.Duration // when Next is called
		want  netip.AddrPort
	}{
		{"the nearer of two", []note{{near, Answered, 10 * ms, 0}, {far, Answered, 90 * ms, 0}}, both, nil, 0, near},
		{"the known and near to the unknown", []note{{near, Answered, 10 * ms, 0}}, both, nil, 0, near},
		{"the unknown to the known and slow", []note{{far, Answered, 300 * ms, 0}}, both, nil, 0, near},
		{"what was measured to what was forgotten", []note{{far, Answered, ms, -memory}, {near, Answered, 100 * ms, 0}}, both, nil, 0, near},
		{"one not yet tried", []note{{near, Answered, 10 * ms, 0}, {far, Answered, 90 * ms, 0}}, both, []netip.AddrPort{near}, 0, far},
		{"the slower to one that just timed out", []note{{far, Answered, 60 * ms, 0}, {far, TimedOut, 0, 0}, {near, Answered, 90 * ms, 0}}, both, nil, 0, near},
		{"the answering to the resting", []note{{far, Answered, ms, 0}, {far, TimedOut, 0, 0}, {far, TimedOut, 0, 0}, {near, Answered, 400 * ms, 0}}, both, nil, 0, near},
		{"the answering, twice, to the resting", []note{{far, TimedOut, 0, 0}, {far, TimedOut, 0, 0}, {near, Answered, 400 * ms, 0}}, both, []netip.AddrPort{near}, 0, near},
		{"the resting to nobody", []note{{far, TimedOut, 0, 0}, {far, TimedOut, 0, 0}}, []netip.AddrPort{far}, nil, 0, far},
		{"the sound to the lame", []note{{far, Answered, ms, 0}, {far, Lame, ms, 0}, {near, Answered, 400 * ms, 0}}, both, nil, 0, near},
		{"the sound to the broken", []note{{far, Broken, ms, 0}, {near, Answered, 400 * ms, 0}}, both, nil, 0, near},
		{"the sound to the refused", []note{{far, Answered, ms, 0}, {far, Refused, 0, 0}, {near, Answered, 400 * ms, 0}}, both, nil, 0, near},
		{"the lame to the resting", []note{{near, Lame, ms, 0}, {far, TimedOut, 0, 0}, {far, TimedOut, 0, 0}}, both, nil, 0, near},
		{"the once lame when the mark has expired", []note{{near, Lame, ms, 0}, {far, Answered, 400 * ms, 0}}, both, nil, markLife, near},
		{"the once lame when it answers again", []note{{near, Lame, ms, 0}, {near, Answered, ms, 0}, {far, Answered, 400 * ms, 0}}, both, nil, 0, near},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := noted(tt.notes)
			got, n := mostly(table, tt.from, tt.tried, start.Add(tt.after))
			if got != tt.want {
				t.Errorf("Next = %s in %d of 100 calls, want %s", got, n, tt.want)
			}
		})
	}
}

func TestTable_Next_timeout(t *testing.T) {
	const ms = time.Millisecond
	steady := slices.Repeat([]note{{near, Answered, 100 * ms, 0}}, 50)
	tests := []struct {
		name  string
		notes []note
		tries int // before
		want  time.Duration
	}{
		{"400 ms for the unknown", nil, 0, 400 * ms},
		{"the unknown's second is as long again", nil, 1, 800 * ms},
		{"the third is bounded", nil, 2, 1500 * ms},
		{"three times the first round trip", []note{{near, Answered, 100 * ms, 0}}, 0, 300 * ms},
		{"little more than a steady round trip", steady, 0, 100 * ms},
		{"never below 50 ms", []note{{near, Answered, ms, 0}}, 0, 50 * ms},
		{"a near server's second is that of an unknown", []note{{near, Answered, ms, 0}}, 1, 400 * ms},
		{"and its third twice that", []note{{near, Answered, ms, 0}}, 2, 800 * ms},
		{"never above 1.5 s", []note{{near, Answered, 4 * time.Second, 0}}, 0, 1500 * ms},
		{"doubled after a timeout", []note{{near, Answered, 100 * ms, 0}, {near, TimedOut, 0, 0}}, 0, 600 * ms},
		{"as before after the next reply", []note{{near, TimedOut, 0, 0}, {near, Answered, 100 * ms, 0}}, 0, 300 * ms},
		{"also learned from a lame server", []note{{near, Lame, 100 * ms, 0}}, 0, 300 * ms},
		{"not learned from a refusal", []note{{near, Refused, 100 * ms, 0}}, 0, 400 * ms},
		{"forgotten after a quarter of an hour", []note{{near, Answered, 100 * ms, -memory}}, 0, 400 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from := []netip.AddrPort{near}
			_, got, ok := noted(tt.notes).Next(chance(), from, slices.Repeat(from, tt.tries), start)
			if !ok || got.Round(ms) != tt.want {
				t.Errorf("timeout = %v, %t, want %v", got, ok, tt.want)
			}
		})
	}
}

func TestTable_Next_ends(t *testing.T) {
	tests := []struct {
		name   string
		from   []netip.AddrPort
		offers int // until there is nobody left
	}{
		{"at once without servers", nil, 0},
		{"after three offers of one", []netip.AddrPort{near}, 3},
		{"after three offers of each", []netip.AddrPort{near, far, other}, 9},
		{"an address listed twice counts once", []netip.AddrPort{near, near, near}, 3},
		{"after one offer of each in a family without a way", []netip.AddrPort{six, six2, six3, near}, 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, r := noted([]note{{six, Refused, 0, 0}, {six2, Refused, 0, 0}, {six3, Refused, 0, 0}}), chance()
			var tried []netip.AddrPort
			for range tt.offers {
				to, _, ok := table.Next(r, tt.from, tried, start)
				if !ok {
					t.Fatalf("nobody left after %d offers", len(tried))
				}
				table.Note(to, TimedOut, 0, start)
				tried = append(tried, to)
			}
			if to, _, ok := table.Next(r, tt.from, tried, start); ok {
				t.Errorf("%s was offered after %v", to, tried)
			}
		})
	}
}

func TestTable_Next_fitsThreeTriesIntoOneAnswer(t *testing.T) {
	table, r, from := New(0), chance(), []netip.AddrPort{near}
	var sum time.Duration
	var tried []netip.AddrPort
	for {
		to, timeout, ok := table.Next(r, from, tried, start.Add(sum))
		if !ok {
			break
		}
		sum += timeout
		table.Note(to, TimedOut, 0, start.Add(sum))
		tried = append(tried, to)
	}
	if len(tried) != 3 || sum > 4500*time.Millisecond {
		t.Errorf("%d tries took %v, want 3 within 4.5 s", len(tried), sum)
	}
}

func TestTable_Next_exploresTheUnknown(t *testing.T) {
	const calls = 16_000
	table, r := noted([]note{{near, Answered, time.Millisecond, 0}}), chance()
	n := 0
	for range calls {
		if to, _, _ := table.Next(r, []netip.AddrPort{near, far}, nil, start); to == far {
			n++
		}
	}
	if want := calls / exploring; n < want*8/10 || n > want*12/10 {
		t.Errorf("the unknown was offered %d times of %d, want about %d", n, calls, want)
	}
	if got := table.Stats().Explored; got != uint64(n) {
		t.Errorf("Explored = %d, want %d", got, n)
	}
}

func TestTable_Next_spreadsOverTheNear(t *testing.T) {
	table, r := noted([]note{{near, Answered, 10 * time.Millisecond, 0}, {far, Answered, 12 * time.Millisecond, 0}}), chance()
	n := 0
	for range 1000 {
		if to, _, _ := table.Next(r, []netip.AddrPort{near, far}, nil, start); to == far {
			n++
		}
	}
	if n < 400 || n > 600 {
		t.Errorf("a server as near was offered %d times of 1000, want about 500", n)
	}
}

func TestTable_rests(t *testing.T) {
	tests := []struct {
		timeouts int
		rest     time.Duration
	}{
		{1, 0}, {2, time.Second}, {3, 2 * time.Second}, {4, 4 * time.Second},
		{7, 32 * time.Second}, {8, time.Minute}, {9, time.Minute}, {1000, time.Minute},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d timeouts lay to rest for %v", tt.timeouts, tt.rest), func(t *testing.T) {
			var s server
			for range tt.timeouts {
				s.note(TimedOut, 0, start)
			}
			if s.resting(start.Add(tt.rest)) || tt.rest > 0 && !s.resting(start.Add(tt.rest-1)) {
				t.Errorf("rests until %v", s.restUntil.Sub(start))
			}
		})
	}
}

func TestTable_Next_probesTheRestedOnce(t *testing.T) {
	table := noted([]note{
		{near, Answered, time.Millisecond, 0}, {near, TimedOut, 0, 0}, {near, TimedOut, 0, 0},
		{far, Answered, 300 * time.Millisecond, 0},
	})
	r, both, at := chance(), []netip.AddrPort{near, far}, start.Add(firstRest)
	first, timeout, _ := table.Next(r, both, nil, at)
	second, _, _ := table.Next(r, both, nil, at)
	later, _, _ := table.Next(r, both, nil, at.Add(timeout))
	if first != near || second != far || later != near {
		t.Errorf("asked %s, then %s, then %s; want %s once until its timeout", first, second, later, near)
	}
}

func TestTable_family(t *testing.T) {
	refused := []note{{six, Refused, 0, 0}, {six2, Refused, 0, 0}, {six3, Refused, 0, 0}}
	best := []note{{six, Answered, time.Millisecond, -time.Minute}, {near, Answered, 400 * time.Millisecond, 0}}
	tests := []struct {
		name  string
		notes []note
		from  []netip.AddrPort
		after time.Duration
		want  netip.AddrPort
	}{
		{"works until shown otherwise", nil, []netip.AddrPort{six, near}, markLife, six},
		{"rests after three servers were refused", refused, []netip.AddrPort{six, near}, firstFamilyRest - 1, near},
		{"rests with all its servers", refused, []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::9]:53"), near}, firstFamilyRest - 1, near},
		{"is offered if there is no other", refused, []netip.AddrPort{six}, 0, six},
		{"rests twice as long after the next refusal", append(slices.Clone(refused), note{six, Refused, 0, firstFamilyRest}),
			[]netip.AddrPort{six, near}, 3*firstFamilyRest - 1, near},
		{"wakes with one reply", append(slices.Clone(refused), note{six2, Answered, time.Millisecond, 0}),
			[]netip.AddrPort{six2, near}, 0, six2},
		{"does not rest for one server's refusals", slices.Repeat([]note{{six2, Refused, 0, 0}}, 10), []netip.AddrPort{six, near}, 0, six},
		{"does not rest for silence", []note{{six2, TimedOut, 0, 0}, {six3, TimedOut, 0, 0}, {six2, TimedOut, 0, 0}, {six3, TimedOut, 0, 0}},
			[]netip.AddrPort{six, near}, 0, six},
		{"does not rest for the other's refusals", []note{{near, Refused, 0, 0}, {far, Refused, 0, 0}, {other, Refused, 0, 0}},
			[]netip.AddrPort{six, near}, 0, six},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := noted(append(slices.Clone(best), tt.notes...))
			if got, n := mostly(table, tt.from, nil, start.Add(tt.after)); got != tt.want {
				t.Errorf("Next = %s in %d of 100 calls, want %s", got, n, tt.want)
			}
		})
	}
}

// A family that rested is probed by one question, whatever the other family is
// like; the next ones wait for what comes of it.
func TestTable_Next_probesARestedFamilyOnce(t *testing.T) {
	refused := []note{{six, Refused, 0, 0}, {six2, Refused, 0, 0}, {six3, Refused, 0, 0}}
	table := noted(append(refused, note{near, Answered, time.Millisecond, 0}))
	r, both := chance(), []netip.AddrPort{near, six, six2}
	at := start
	for _, rest := range []time.Duration{firstFamilyRest, 2 * firstFamilyRest, maxFamilyRest, maxFamilyRest} {
		probes := 0
		for at = at.Add(rest); ; at = at.Add(time.Second) {
			to, _, _ := table.Next(r, both, nil, at)
			if to == near {
				break
			}
			probes++
			table.Note(to, Refused, 0, at)
		}
		if at = at.Add(-time.Second); probes != 1 {
			t.Fatalf("probed %d times after a rest of %v, want once", probes, rest)
		}
		if to, _, _ := table.Next(r, both, nil, at.Add(rest-1)); to != near {
			t.Errorf("probed again within %v", rest)
		}
	}
	at = at.Add(maxFamilyRest)
	if to, _, _ := table.Next(r, both, nil, at); to == near {
		t.Fatal("not probed when it works again")
	}
	table.Note(six, Answered, time.Millisecond, at)
	if got, n := mostly(table, []netip.AddrPort{near, six}, []netip.AddrPort{near}, at); got != six {
		t.Errorf("Next = %s in %d of 100 calls, want the family in use", got, n)
	}
}

func TestTable_isBounded(t *testing.T) {
	const size = 100
	table := New(size)
	for i := range 50 * size {
		addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		table.Note(netip.AddrPortFrom(addr, uint16(i)), TimedOut, 0, start)
	}
	if got := table.Stats().Servers; got > size {
		t.Errorf("%d servers remembered, want at most %d", got, size)
	}
}

func TestTable_aFloodFlushesNothingUseful(t *testing.T) {
	const size = 100
	table := New(size)
	for range 2 {
		table.Note(near, Answered, time.Millisecond, start)
	}
	for i := range uint16(50 * size) {
		table.Note(netip.AddrPortFrom(far.Addr(), i+100), TimedOut, 0, start)
	}
	if _, timeout, _ := table.Next(chance(), []netip.AddrPort{near}, nil, start); timeout != minTimeout {
		t.Errorf("timeout = %v, want the remembered %v", timeout, minTimeout)
	}
}

func TestTable_Stats(t *testing.T) {
	table := noted([]note{
		{near, Answered, time.Millisecond, 0}, {near, TimedOut, 0, 0}, {six, Refused, 0, 0}, {six2, Refused, 0, 0}, {six3, Refused, 0, 0},
	})
	table.Next(chance(), []netip.AddrPort{near}, nil, start)
	table.Next(chance(), nil, nil, start)
	want := Stats{Servers: 4, Offers: 1, Exhausted: 1, Noted: [outcomes]uint64{Answered: 1, TimedOut: 1, Refused: 3}, FamilyRests: 1}
	if got := table.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestTable_isForManyGoroutines(t *testing.T) {
	table := New(10)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for n := range 1000 {
				at := start.Add(time.Duration(n) * time.Second)
				to, _, _ := table.Next(r, []netip.AddrPort{near, far, other, six}, nil, at)
				table.Note(to, Outcome(r.IntN(int(outcomes))), time.Millisecond, at)
				table.Stats()
			}
		})
	}
	all.Wait()
}

func BenchmarkTable_Next(b *testing.B) {
	table, r := New(0), chance()
	var from []netip.AddrPort
	for i := range 26 {
		from = append(from, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 53))
		table.Note(from[i], Answered, time.Duration(i)*10*time.Millisecond, start)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Next(r, from, nil, start)
	}
}

// noted returns a table to which notes were given.
func noted(notes []note) *Table {
	table := New(0)
	for _, n := range notes {
		table.Note(n.to, n.o, n.rtt, start.Add(n.after))
	}
	return table
}

// mostly returns what Next offers most in 100 calls on equal tables, and how
// often: exploration makes the rest.
func mostly(table *Table, from, tried []netip.AddrPort, at time.Time) (best netip.AddrPort, n int) {
	r, offered := chance(), map[netip.AddrPort]int{}
	for range 100 {
		to, _, _ := table.Next(r, from, tried, at)
		offered[to]++
	}
	for to, count := range offered {
		if count > n {
			best, n = to, count
		}
	}
	return best, n
}

// chance is the same in every run.
func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
