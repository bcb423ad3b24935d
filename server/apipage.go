package server

import (
	"net/http"
	"strings"

	"slipway/web"

	"github.com/labstack/echo/v4"
)

// apiPage is GET /api: the calls of the API for people, with commands that work as they stand.
func (s *Server) apiPage(c echo.Context) error {
	page := web.APIPage{Layout: s.layout(c), Spec: apiPath + "/openapi.json"}
	for _, call := range apiCalls {
		page.Calls = append(page.Calls, web.APICall{
			Method: call.Method, Path: apiPath + call.Path, Does: call.Does, Curl: strings.ReplaceAll(call.Curl, "$SLIPWAY", s.BaseURL),
		})
	}
	return s.page(c, http.StatusOK, page)
}

// apiCalls are the calls in the order in which one needs them; $SLIPWAY is where we are.
var apiCalls = [...]web.APICall{
	{Method: "POST", Path: "/lint", Does: "Checks a Dockerfile. Lines and columns count from 1. Ask for application/sarif+json to get SARIF 2.1.0.",
		Curl: `curl --json '{"files": {"Dockerfile": "FROM debian:bookworm-slim\nRUN echo $name\n"}}' $SLIPWAY/api/v1/lint`},
	{Method: "POST", Path: "/explain", Does: "Says what each step of a Dockerfile does, from the text alone.",
		Curl: `curl --json '{"files": {"Dockerfile": "FROM debian:bookworm-slim\nRUN echo hello\n"}}' $SLIPWAY/api/v1/explain`},
	{Method: "POST", Path: "/builds", Does: "Builds files, or a revision. The answer says where to look, and holds an edit_key if you showed none: with it the build can be cancelled, and the next one finds the cache of this one.",
		Curl: `curl --json '{"files": {"Dockerfile": "FROM debian:bookworm-slim\nRUN echo hello\n"}}' $SLIPWAY/api/v1/builds`},
	{Method: "GET", Path: "/builds/{id}", Does: "Says where a build stands: status, outcome, steps, image.", Curl: `curl $SLIPWAY/api/v1/builds/ID`},
	{Method: "GET", Path: "/builds/{id}/events", Does: "Gives every event of a build, as it happens or afterwards, and ends after the one of kind finished. Server-sent events, or one a line.",
		Curl: `curl -N -H 'Accept: application/x-ndjson' $SLIPWAY/api/v1/builds/ID/events`},
	{Method: "GET", Path: "/builds/{id}/steps", Does: "Explains what each step of a build did.", Curl: `curl $SLIPWAY/api/v1/builds/ID/steps`},
	{Method: "GET", Path: "/builds/{id}/log.txt", Does: "All that the steps wrote. The page of a build, with .txt behind it, is the build as text.", Curl: `curl $SLIPWAY/b/ID.txt`},
	{Method: "POST", Path: "/builds/{id}/cancel", Does: "Cancels your build.", Curl: `curl -X POST -H "Authorization: Bearer $EDIT_KEY" $SLIPWAY/api/v1/builds/ID/cancel`},
	{Method: "POST", Path: "/snippets", Does: "Saves files as a snippet. A file that is no text is {\"base64\": \"…\"}; one that can be executed is {\"text\": \"…\", \"executable\": true}. With forked_from it is a fork.",
		Curl: `curl --json '{"title": "Hello", "files": {"Dockerfile": "FROM debian:bookworm-slim\n"}}' $SLIPWAY/api/v1/snippets`},
	{Method: "GET", Path: "/snippets/{id}", Does: "Reads a snippet. The ETag is its latest revision.", Curl: `curl -i $SLIPWAY/api/v1/snippets/ID`},
	{Method: "PUT", Path: "/snippets/{id}", Does: "Adds a revision to your snippet, if nobody changed it since the one that If-Match names.",
		Curl: `curl -X PUT -H "Authorization: Bearer $EDIT_KEY" -H 'If-Match: "REVISION"' --json @snippet.json $SLIPWAY/api/v1/snippets/ID`},
	{Method: "GET", Path: "/revisions/{revision}", Does: "The files of a revision, for ever: as JSON, or with .txtar, .zip or .tar behind the id.",
		Curl: `curl $SLIPWAY/api/v1/revisions/REVISION.tar | docker build -`},
	{Method: "POST", Path: "/unpack", Does: "Gives the files of archives.", Curl: `curl -F file=@context.zip $SLIPWAY/api/v1/unpack`},
	{Method: "GET", Path: "/rules", Does: "Lists the lint rules.", Curl: `curl $SLIPWAY/api/v1/rules`},
}
