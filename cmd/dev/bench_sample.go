package main

import (
	"fmt"
	"slices"
	"time"
)

// A sample is how long something took, each time.
type sample []time.Duration

// measure adds one time.
func (s *sample) measure(do func() error) error {
	start := time.Now()
	err := do()
	*s = append(*s, time.Since(start))
	return err
}

// at is the time that the given share of all, 0 to 1, did not exceed. There must be one.
func (s sample) at(share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (s sample) median() time.Duration { return s.at(0.5) }
func (s sample) p99() time.Duration    { return s.at(0.99) }

// String gives what most wait and what nearly all do.
func (s sample) String() string {
	return fmt.Sprintf("p50 %s, p99 %s", short(s.median()), short(s.p99()))
}

// short writes a time with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.3g ms", float64(d.Microseconds())/1e3)
	}
	return fmt.Sprintf("%.3g µs", float64(d.Nanoseconds())/1e3)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
