package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// dockerfile is a Dockerfile of about n lines, as people write them: stages, continuation lines, a few findings.
func dockerfileOf(n int) string {
	var b strings.Builder
	b.WriteString("# syntax=docker/dockerfile:1\nARG VERSION=3.14\n")
	for stage := 0; strings.Count(b.String(), "\n") < n; stage++ {
		fmt.Fprintf(&b, `FROM python:${VERSION}-slim AS stage-%d
ENV PYTHONUNBUFFERED=1 APP_HOME=/srv/app
WORKDIR $APP_HOME
RUN apt-get update && \
    apt-get install -y --no-install-recommends curl && \
    rm -rf /var/lib/apt/lists/*

# what changes least first
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -r requirements.txt
COPY . .
ARG API_TOKEN
RUN <<EOF
set -e
python -m compileall $APP_HOME
EOF
USER 1000
EXPOSE 8000/TCP
CMD uvicorn main:app --port 8000
`, stage)
	}
	return b.String()
}

// BenchmarkLint prints, besides the mean, the median and the 99th percentile of one file.
func BenchmarkLint(b *testing.B) {
	for _, n := range []int{50, 500, 1000, 2000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := Input{File: "Dockerfile", Source: dockerfileOf(n)}
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := Lint(b.Context(), in); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
