package gallery

import (
	"bytes"

	"slipway/server/play"
	"slipway/web"
)

const dockerfile = `# A FastAPI service in two stages, run as its own user.
FROM python:3.14-slim AS builder
WORKDIR /app
COPY requirements.txt .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.14-slim AS run
ENV PATH=/venv/bin:$PATH
RUN useradd --system --uid 10001 app
COPY --from=builder /venv /venv
COPY app /srv/app
USER app
WORKDIR /srv
EXPOSE 8000
CMD uvicorn app.main:app --host 0.0.0.0
`

func revision(files map[string]string) play.Revision {
	var list []play.File
	for path, content := range files {
		list = append(list, play.File{Path: path, Content: []byte(content)})
	}
	r, err := play.NewRevision(list, play.DefaultLimits())
	if err != nil {
		panic(err)
	}
	return r
}

// Service is the files of a small service.
func Service() play.Revision {
	return revision(map[string]string{
		"Dockerfile":       dockerfile,
		"requirements.txt": "fastapi==0.121.0\nuvicorn[standard]==0.38.0\n",
		".dockerignore":    ".venv\n__pycache__\n",
		"app/__init__.py":  "",
		"app/main.py": `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello(name: str = "world"):
    return {"hello": name}
`,
	})
}

// Odd is files that a form must carry with care: not text, CRLF, both line ends, leading blank line, hostile.
func Odd() play.Revision {
	return revision(map[string]string{
		"Dockerfile":   "FROM busybox\n",
		"logo.png":     "\x89PNG\r\n\x1a\n\x00\x00",
		"crlf.txt":     "one\r\ntwo\r\n",
		"mixed.txt":    "one\r\ntwo\n",
		"leading.txt":  "\n\nthird line\n",
		"evil.txt":     Evil,
		"run.sh":       "#!/bin/sh\n",
		"<b>name</b>":  "x",
		"deep/a/b/c/d": string(bytes.Repeat([]byte("x"), 3000)),
	})
}

// Evil is what someone might type to break out of the page.
const Evil = `</textarea></script><script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`" + `{{.}} [x](javascript:alert(1))`

// Stages are the stages of Service.
func Stages() []play.Stage {
	return []play.Stage{
		{Index: 0, Name: "builder", Base: play.Base{Ref: "python:3.14-slim"}, Needed: true},
		{Index: 1, Name: "run", Base: play.Base{Ref: "python:3.14-slim"}, Needed: true},
	}
}

// Findings are of Service.
func Findings() []play.Diagnostic {
	return []play.Diagnostic{
		{
			Rule: "JSONArgsRecommended", Severity: play.SeverityWarning, File: "Dockerfile", URL: "/rules/JSONArgsRecommended",
			Message: "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
			Range:   span(16, 1, 16, 40),
		},
		{
			Rule: "PinBase", Severity: play.SeverityInfo, File: "Dockerfile", URL: "/rules/PinBase",
			Message: "python:3.14-slim can change under you; a digest pins it",
			Range:   span(2, 6, 2, 22),
		},
	}
}

func span(l1, c1, l2, c2 int) play.Range {
	return play.Range{Start: play.Position{Line: l1, Column: c1}, End: play.Position{Line: l2, Column: c2}}
}

// Rules are three of the rules.
func Rules() []web.Rule {
	return []web.Rule{
		{ID: "StageNameCasing", Title: "Stage names should be lowercase", Severity: play.SeverityWarning, Explain: "Names are compared without case."},
		{
			ID: "JSONArgsRecommended", Title: "CMD and ENTRYPOINT should be JSON arrays", Severity: play.SeverityWarning,
			Explain: "The *shell form* starts your program under `/bin/sh -c`, so the shell is process 1 and gets the signals:\n\n- `docker stop` waits ten seconds and then kills;\n- the program never hears `SIGTERM`.\n\nThe *exec form* is a JSON array and starts the program itself.",
			Bad:     "FROM python:3.14-slim\nCMD uvicorn app.main:app\n", Good: "FROM python:3.14-slim\nCMD [\"uvicorn\", \"app.main:app\"]\n",
			Upstream: "https://docs.docker.com/reference/build-checks/json-args-recommended/",
		},
		{ID: "UnknownInstruction", Title: "The instruction does not exist", Severity: play.SeverityError},
	}
}

// Examples are a few entries of the list.
func Examples() []web.Example {
	fastAPI := "FastAPI with pip, in five steps"
	return []web.Example{
		{Snippet: "fastapi1plain", Group: fastAPI, Title: "1. As plain as it gets", Level: "beginner", Summary: "Copy everything, install, start. It works, and every edit installs again.", Learns: []string{"FROM, COPY, RUN, CMD", "what a layer is"}},
		{Snippet: "fastapi2deps", Group: fastAPI, Title: "2. Dependencies before code", Level: "beginner", Summary: "Copy requirements.txt alone first: an edit of the code reuses the installation.", Learns: []string{"the build cache", "order of instructions"}},
		{Snippet: "fastapi3uv", Group: "FastAPI with uv", Title: "uv from its registry image", Level: "intermediate", Summary: "Takes the uv program out of its own image with COPY --from.", Learns: []string{"COPY --from an image"}, Needs: "It needs ghcr.io, which this server may not reach."},
	}
}

// Calls are a few of the API's.
func Calls() []web.APICall {
	return []web.APICall{
		{Method: "POST", Path: "/api/v1/lint", Does: "Checks files and answers with findings.", Curl: `curl -s localhost:8080/api/v1/lint -H 'Content-Type: application/json' -d '{"files":{"Dockerfile":"FROM busybox"}}'`},
		{Method: "GET", Path: "/api/v1/builds/{id}/events", Does: "The build's events, live or stored."},
	}
}
