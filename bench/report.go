package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// report prints a table with a line for each figure, and keeps the figures for the last line of the output, which is JSON.
type report map[string]float64

func (r report) line(name, figure, goal string) { fmt.Printf("%-52s %30s   %s\n", name, figure, goal) }

// add adds a figure. Key is its name in JSON; format is for the table.
func (r report) add(key, name, format string, figure float64, goal string) {
	r[key] = round(figure)
	r.line(name, fmt.Sprintf(format, figure), goal)
}

// addTimes adds the p50 and the p99 of latencies.
func (r report) addTimes(key, name string, took []time.Duration, goal string) {
	p50, p99 := ms(quantile(took, 0.5)), ms(quantile(took, 0.99))
	r[key+"_p50_ms"], r[key+"_p99_ms"] = p50, p99
	r.line(name, fmt.Sprintf("%.2f / %.2f ms", p50, p99), goal)
}

// print prints the JSON.
func (r report) print() error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}
