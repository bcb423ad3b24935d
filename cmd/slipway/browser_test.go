package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a real Chromium: what it complains of is kept.
type browser struct {
	ctx context.Context

	mu       sync.Mutex
	troubles []string
}

// browse opens a tab of the size.
func browse(t *testing.T, width, height int64, more ...chromedp.Action[chromedp.Void]) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is missing; go run ./cmd/dev test installs it: ", err)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx}
	if err := chromedp.Do(ctx, append(more, chromedp.EmulateViewport(width, height))...); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

// hear keeps exceptions and errors on the console: violations of the content security policy are among them.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, e.ExceptionDetails.Text+" "+said(e.ExceptionDetails.Exception))
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.troubles = append(b.troubles, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			b.troubles = append(b.troubles, said(e.Args...))
		}
	}
}

func said(objects ...*runtime.RemoteObject) string {
	var b strings.Builder
	for _, o := range objects {
		if o != nil {
			fmt.Fprint(&b, string(o.Value), o.Description, " ")
		}
	}
	return b.String()
}

// do takes steps, within two minutes.
func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fail(t, err)
	}
}

// wait waits until an expression is true.
func (b *browser) wait(t *testing.T, expression string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			b.fail(t, fmt.Errorf("never became true: %s (%v)", expression, err))
		}
	}
}

func (b *browser) eval(t *testing.T, expression string) string {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		b.fail(t, err)
	}
	return v
}

// fail ends the test with a picture of the page.
func (b *browser) fail(t *testing.T, err error) {
	t.Helper()
	file := filepath.Join(os.TempDir(), "slipway-"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
	if picture, e := chromedp.Run(b.ctx, chromedp.CaptureScreenshot()); e == nil {
		os.WriteFile(file, picture, 0o644)
	}
	t.Fatalf("%v\nthe page as it was: %s\nits troubles: %v", err, file, b.troubles)
}

// calm fails if the page threw, complained or violated its policy.
func (b *browser) calm(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		t.Errorf("the page's troubles: %q", b.troubles)
	}
}

// accessible fails if axe finds anything on the page.
func (b *browser) accessible(t *testing.T) {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("..", "..", "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal("axe-core is missing; go run ./cmd/dev test fetches it: ", err)
	}
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[chromedp.Void](string(axe))); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`axe.run(document, {resultTypes: ["violations"]}).then(r =>
		r.violations.map(v => v.id + " (" + v.impact + "): " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join("; ")))`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s: %s", b.eval(t, "location.pathname"), f)
	}
}

// replaceText selects everything in the editor and types in its place.
func (b *browser) replaceText(t *testing.T, text string) {
	t.Helper()
	b.do(t, chromedp.Click(chromedp.CSS(".cm-content")), chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)),
		chromedp.KeyEvent(kb.Delete), insert(text))
}

// insert types a text as it is, without the editor's help with brackets and indentation.
func insert(text string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return v, err
	}
}

const (
	built  = `document.querySelector("#status")?.textContent.includes("Built")`
	failed = `document.querySelector("#status")?.textContent.includes("Failed")`
)

// A person edits, sees a finding while typing, builds with the keyboard, watches the steps, and sends a link that
// shows a colleague on a phone the same.
func TestMainJobInTheBrowser(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	b.replaceText(t, "FROM busybox AS Base\nWORKDIR /src\nRUN echo hello from the step")
	b.wait(t, `document.body.textContent.includes("StageNameCasing")`)
	b.wait(t, `document.querySelectorAll("#steps > li[id^=step-]").length == 3`)
	b.do(t, chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.wait(t, built)
	b.wait(t, `location.pathname.startsWith("/s/")`)
	b.wait(t, `document.querySelector("#step-3").textContent.includes("hello from the step")`)
	b.wait(t, `/\/b\/[0-9a-z]+(?=Pull|The snippet|\s)/.test(document.querySelector("#share-links").textContent) && document.querySelector("#share-links").textContent.includes("docker pull")`)
	b.accessible(t)
	b.calm(t)

	build := b.eval(t, `new URL([...document.querySelectorAll("a, input")].map(e => e.href || e.value || "").find(u => /\/b\/[0-9a-z]+/.test(u)), location).pathname.match(/\/b\/[0-9a-z]+/)[0]`)
	phone := browse(t, 390, 844)
	phone.do(t, chromedp.Navigate(s.base+build+"#step-3"), chromedp.WaitVisible(chromedp.CSS("#step-3")))
	phone.wait(t, `document.querySelector("#step-3").textContent.includes("hello from the step")`)
	const same = `JSON.stringify([...document.querySelectorAll("#steps > li[id^=step-]")].map(li => li.querySelector("summary").textContent.replace(/\s+/g, " ").trim()))`
	if a, c := b.eval(t, same), phone.eval(t, same); a != c {
		t.Errorf("the author sees\n%s\nthe colleague sees\n%s", a, c)
	}
	if over := phone.eval(t, `String(document.documentElement.scrollWidth - innerWidth)`); over != "0" {
		t.Errorf("the page is %s pixels wider than the phone", over)
	}
	phone.accessible(t)
	phone.calm(t)
}

// What a person typed survives a reload.
func TestDraftSurvivesReload(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	b.replaceText(t, "FROM busybox\nRUN echo not lost")
	time.Sleep(time.Second) // drafts are kept at a pause in typing
	b.do(t, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	b.wait(t, `document.querySelector(".cm-content").textContent.includes("echo not lost")`)
	b.calm(t)
}

// After a build the colours stay on the lines that were built, wherever they move, and on no others.
func TestColoursAfterEditing(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(s.base+"/new"), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	b.replaceText(t, "FROM busybox\nRUN echo one\nRUN echo two")
	b.do(t, chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.wait(t, built)
	coloured := func(want string) string {
		return `JSON.stringify([...document.querySelectorAll(".cm-line")].map(l => Number(l.dataset.step ?? 0))) === "` + want + `"`
	}
	b.wait(t, coloured("[1,2,3]"))
	b.do(t, chromedp.KeyEvent(kb.Home, chromedp.KeyModifiers(chromedp.ModifierCtrl)), insert("# new\n"))
	b.wait(t, coloured("[0,1,2,3]"))
	b.do(t, chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl)), insert("!"))
	b.wait(t, coloured("[0,1,2,0]"))
	b.do(t, chromedp.KeyEvent(kb.Backspace))
	b.wait(t, coloured("[0,1,2,3]"))
	b.calm(t)
}

// The divider between the two sides is moved with the keyboard, and stays where it was put.
func TestDividerIsKept(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(s.base+"/new"), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	width := func() string {
		return b.eval(t, `String(Math.round(document.querySelector("#editor").getBoundingClientRect().width))`)
	}
	was := width()
	b.do(t, chromedp.Focus(chromedp.CSS("#divider")), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	b.wait(t, `document.querySelector("#divider").ariaValueNow === "50"`)
	now := width()
	if now == was || now != "680" {
		t.Errorf("the source was %s pixels wide, and is %s", was, now)
	}
	b.do(t, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	if again := width(); again != now {
		t.Errorf("after a reload the source is %s pixels wide, not %s", again, now)
	}
	b.calm(t)
}

// A failed step stands open with its last output, its exit code in words, and its place in the source.
func TestFailedBuildInTheBrowser(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible(chromedp.CSS(".cm-content")))
	b.replaceText(t, "FROM busybox\nRUN echo the last words; nosuchcommand")
	b.do(t, chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	b.wait(t, failed)
	b.wait(t, `document.querySelector("#step-2").textContent.includes("the last words")`)
	b.wait(t, `document.querySelector("#step-2 details")?.open || document.querySelector("#step-2[open]")`)
	b.wait(t, `/command not found|not found/.test(document.querySelector("#step-2").textContent)`)
	b.accessible(t)
	b.calm(t)
}

// An open page outlives the server: it comes back by itself and is right.
func TestOpenPageSurvivesTheServersDeath(t *testing.T) {
	s := running(t)
	build := s.build(t, text(fmt.Sprintf("FROM busybox\nRUN echo begun %d; sleep 15; echo ended\n", time.Now().UnixNano())))
	b := browse(t, 1360, 860)
	b.do(t, chromedp.Navigate(build.URL))
	b.wait(t, `document.querySelector("#step-2").textContent.includes("begun")`)
	if err := s.stop(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	s.start(t)
	b.wait(t, built)
	b.wait(t, `document.querySelector("#step-2").textContent.includes("ended")`)
	live := b.eval(t, `document.querySelector("#steps").textContent.replace(/\s+/g, " ")`)
	b.do(t, chromedp.Reload())
	if again := b.eval(t, `document.querySelector("#steps").textContent.replace(/\s+/g, " ")`); live != again {
		t.Errorf("the live page had\n%s\na fresh one has\n%s", live, again)
	}
}

// Without JavaScript the same main job is forms and links.
func TestMainJobWithoutJavaScript(t *testing.T) {
	s := running(t)
	b := browse(t, 1360, 860, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return v, err
	})
	b.do(t, chromedp.Navigate(s.base+"/"), chromedp.WaitVisible(chromedp.CSS("textarea")))
	b.do(t, chromedp.SetValue(chromedp.CSS("textarea"), "FROM busybox\nRUN echo built without a script\nCOPY . /src\n"))
	// Only the build's page has that; a reload before it comes would take the press of the button back.
	b.do(t, chromedp.Click(chromedp.CSS(`button[value="build"]`)), chromedp.WaitVisible(chromedp.CSS("#source")))
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		page, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("body")))
		if err == nil && strings.Contains(page, "Built") && strings.Contains(page, "built without a script") {
			break
		}
		if time.Now().After(deadline) {
			b.fail(t, fmt.Errorf("no build appeared: %v\n%s", err, page))
		}
		b.do(t, chromedp.Reload())
	}
}
