package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A process is one of this machine's.
type process struct {
	pid, parent int
	args        []string
}

// below are the processes that one has started, and those that they have.
func below(pid int) ([]process, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]process{}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		// The name stands in parentheses and may hold anything; behind it come the state and the parent (proc(5)).
		var p process
		var state string
		fmt.Sscan(string(stat), &p.pid)
		fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &p.parent)
		p.args = strings.Split(strings.TrimSuffix(string(args), "\x00"), "\x00")
		children[p.parent] = append(children[p.parent], p)
	}
	var all []process
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, p := range children[next[0]] {
			all, next = append(all, p), append(next, p.pid)
		}
	}
	return all, nil
}

// resident is the memory of a process that is in use now, in bytes.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmRSS:")
	if !ok {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kb << 10, err
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }
