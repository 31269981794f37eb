package quota

import "testing"

func TestTable_Take(t *testing.T) {
	tests := []struct {
		name  string
		ended string // before, while one sits: '.' answered, '-' in vain
		want  int    // seats, of 10
	}{
		{"nothing is known", "", 10},
		{"all answered", "....................", 10},
		{"a few in vain", "-----", 10},
		{"most in vain", "....-----------------", 5},
		{"every third in vain", "..-..-..-..-..-..-..-", 10},
		{"answers again", "------------------------............", 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := New[string](10)
			table.Take("a")
			for _, e := range tt.ended {
				table.Take("a")
				table.Free("a", e == '-')
			}
			seats := 1
			for table.Take("a") {
				seats++
			}
			if seats != tt.want {
				t.Errorf("%d seats, want %d", seats, tt.want)
			}
			if !table.Take("b") {
				t.Error("another place is full, too")
			}
			if got := (Stats{Places: 2, Full: 1}); table.Stats() != got {
				t.Errorf("stats %+v, want %+v", table.Stats(), got)
			}
		})
	}
}

func TestTable_keepsNothingOfEmptyPlaces(t *testing.T) {
	table := New[int](2)
	for i := range 1000 {
		table.Take(i)
		table.Free(i, true)
	}
	if got := table.Stats(); got.Places != 0 || len(table.places) != 0 {
		t.Errorf("%d places are kept", len(table.places))
	}
}

func BenchmarkTable(b *testing.B) {
	table := New[string](400)
	for b.Loop() {
		table.Take("example.")
		table.Free("example.", false)
	}
}
