package view_test

import (
	"fmt"
	"strings"
	"testing"

	"slipway/server/play"
	"slipway/server/view"
)

// fold gives the lines of one vertex's output, each piece an event of its own.
func fold(pieces ...string) []view.Line {
	var j view.Job
	for i, p := range pieces {
		j.Apply(play.Event{Seq: int64(i + 1), Fact: play.Output{Vertex: "v", Stream: 1, Data: p}})
	}
	return j.Lines(0, 0)
}

func TestConsole(t *testing.T) {
	const esc = "\x1b"
	tests := map[string]struct {
		in   string
		text []string // of each line
		html []string // nil: the same as text
	}{
		"nothing":              {"", nil, nil},
		"lines":                {"a\nb\n", []string{"a", "b"}, nil},
		"no newline at end":    {"a\nb", []string{"a", "b"}, nil},
		"empty lines":          {"\n\na\n", []string{"", "", "a"}, nil},
		"crlf":                 {"a\r\nb\r\n", []string{"a", "b"}, nil},
		"progress":             {"10%\r20%\r100%\ndone\n", []string{"100%", "done"}, nil},
		"shorter over longer":  {"abcdef\rxy\n", []string{"xycdef"}, nil},
		"erase to end":         {"abcdef\rxy" + esc + "[K\n", []string{"xy"}, nil},
		"erase to cursor":      {"abcdef\b\b" + esc + "[1K\n", []string{"     f"}, nil},
		"erase line":           {"abcdef" + esc + "[2K\rxy\n", []string{"xy"}, nil},
		"backspace":            {"abc\b\bX\n", []string{"aXc"}, nil},
		"tab":                  {"a\tb\n", []string{"a       b"}, nil},
		"cursor up":            {"a: 1\nb: 1\n" + esc + "[2Aa: 2\nb: 2\nc\n", []string{"a: 2", "b: 2", "c"}, nil},
		"cursor up and down":   {"a: 1\nb: 1\n" + esc + "[2A" + esc + "[2Ka: 2" + esc + "[2B\rc\n", []string{"a: 2", "b: 1", "c"}, nil},
		"up beyond the top":    {"a\n" + esc + "[99Ab\n", []string{"b"}, nil},
		"down makes no lines":  {"a" + esc + "[99Bb\n", []string{"ab"}, nil},
		"erase below":          {"a\nb\nc\n" + esc + "[2A" + esc + "[Jd\n", []string{"a", "d", ""}, nil},
		"columns":              {esc + "[5Gx" + esc + "[1Gy\n", []string{"y   x"}, nil},
		"a jump is bounded":    {esc + "[999999Cx\n", []string{strings.Repeat(" ", 240) + "x"}, nil},
		"clear screen":         {"a\n" + esc + "[H" + esc + "[2J" + esc + "[3Jb\n", []string{"a", "b"}, nil},
		"hide cursor":          {esc + "[?25la" + esc + "[?25h\n", []string{"a"}, nil},
		"charset":              {esc + "(Ba\n", []string{"a"}, nil},
		"title":                {esc + "]0;evil\x07a\n", []string{"a"}, nil},
		"title with st":        {esc + "]0;evil" + esc + "\\a\n", []string{"a"}, nil},
		"device control":       {esc + "Pq#0;2;0" + esc + "\\a\n", []string{"a"}, nil},
		"application command":  {esc + "_bk;t=1\x07a\n", []string{"a"}, nil},
		"buildkite's image":    {esc + "]1338;url=http://evil.example/x.png\x07a\n", []string{"a"}, nil},
		"iterm's image":        {esc + "]1337;File=inline=1:QQ==\x07a\n", []string{"a"}, nil},
		"eight-bit controls":   {"\u009b31ma\u009d0;evil\u009cb\n", []string{"ab"}, []string{`<span class="term-fg31">ab</span>`}},
		"unended string":       {esc + "]0;evil\nb\n", []string{"", "b"}, nil},
		"escape in a string":   {esc + "]0;evil" + esc + "[31ma\n", []string{"a"}, []string{`<span class="term-fg31">a</span>`}},
		"lone escape":          {"a" + esc + "\nb\n", []string{"a", "b"}, nil},
		"bell, nul, delete":    {"a\x07\x00\x7fb\n", []string{"ab"}, nil},
		"invalid utf-8":        {"a\xffb\n", []string{"a\ufffdb"}, nil},
		"markup":               {"<img src=x onerror='a()'>&\"\n", []string{`<img src=x onerror='a()'>&"`}, []string{"&lt;img src=x onerror=&#39;a()&#39;&gt;&amp;&#34;"}},
		"colour":               {esc + "[31mred" + esc + "[0m plain\n", []string{"red plain"}, []string{`<span class="term-fg31">red</span> plain`}},
		"colour over a line":   {esc + "[1;32ma\nb" + esc + "[m\n", []string{"a", "b"}, []string{`<span class="term-fg32 term-fg1">a</span>`, `<span class="term-fg32 term-fg1">b</span>`}},
		"bright, 256, true":    {esc + "[91ma" + esc + "[38;5;208mb" + esc + "[48;2;255;0;0mc" + esc + "[39m\n", []string{"abc"}, []string{`<span class="term-fgi91">a</span><span class="term-fgx208">b</span><span class="term-fgx208 term-bgx196">c</span>`}},
		"colons":               {esc + "[38:2::0:0:255;1ma\n", []string{"a"}, []string{`<span class="term-fgx21 term-fg1">a</span>`}},
		"true colour and bold": {esc + "[38;2;0;0;255;1ma\n", []string{"a"}, []string{`<span class="term-fgx21 term-fg1">a</span>`}},
		"grey":                 {esc + "[38;2;128;128;128ma\n", []string{"a"}, []string{`<span class="term-fgx244">a</span>`}},
		"unknown look":         {esc + "[38;9;1ma" + esc + "[>4;1mb\n", []string{"ab"}, nil},
		"link":                 {esc + "]8;;https://a.example/?x=1&y='\"" + esc + "\\here" + esc + "]8;;\x07.\n", []string{"here."}, []string{`<a href="https://a.example/?x=1&amp;y=&#39;&#34;" rel="nofollow noopener noreferrer" target="_blank">here</a>.`}},
		"script link":          {esc + "]8;;javascript:alert(1)\x07here" + esc + "]8;;\x07\n", []string{"here"}, nil},
		"wide":                 {"你好\rab\n", []string{"ab好"}, nil},
		"half of a wide one":   {"你好\ra\n", []string{"a 好"}, nil},
		"wide and backspace":   {"你\bx\n", []string{" x"}, nil},
		"emoji":                {"🚢x\n", []string{"🚢x"}, nil},
		"combining":            {"e\u0301x\b\bo\n", []string{"ox"}, nil},
		"combining kept":       {"e\u0301x\n", []string{"e\u0301x"}, nil},
		"combining first":      {"\u0301x\n", []string{" \u0301x"}, nil},
		"too many marks":       {"e" + strings.Repeat("\u0301", 50) + "\n", []string{"e" + strings.Repeat("\u0301", 8)}, nil},
		"bidi":                 {"a\u202eb\n", []string{"a⟨U+202E⟩b"}, []string{`a<span class="term-ctl">⟨U+202E⟩</span>b`}},
		"blanks at the end":    {"a   \n", []string{"a"}, nil},
		"coloured blanks":      {"a" + esc + "[41m  \n", []string{"a  "}, []string{`a<span class="term-bg41">  </span>`}},
		"reverse":              {esc + "[7ma" + esc + "[27mb\n", []string{"ab"}, []string{`<span class="term-reverse">a</span>b`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := tt.html
			if want == nil {
				want = tt.text
			}
			check := func(how string, lines []view.Line) {
				t.Helper()
				if len(lines) != len(tt.text) {
					t.Fatalf("%s: %d lines, want %d: %+v", how, len(lines), len(tt.text), lines)
				}
				for i, l := range lines {
					if l.N != i+1 || l.Text != tt.text[i] || l.HTML != want[i] {
						t.Errorf("%s: line %d is %d\ntext %q\nwant %q\nhtml %q\nwant %q", how, i+1, l.N, l.Text, tt.text[i], l.HTML, want[i])
					}
				}
			}
			check("in one piece", fold(tt.in))
			if valid := strings.ToValidUTF8(tt.in, "") == tt.in; valid {
				check("rune by rune", fold(strings.Split(tt.in, "")...))
			}
		})
	}
}

func TestLongLines(t *testing.T) {
	lines := fold(strings.Repeat("x", 8192*2+1) + "\ny\n")
	if len(lines) != 4 || len(lines[0].Text) != 8192 || len(lines[2].Text) != 1 || lines[3].Text != "y" {
		t.Fatalf("%d lines", len(lines))
	}
}

func TestSpansAreBounded(t *testing.T) {
	var in strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&in, "\x1b[%dmx", 31+i%2)
	}
	line := fold(in.String() + "\n")[0]
	if n := strings.Count(line.HTML, "<span"); n != 256 {
		t.Errorf("%d spans", n)
	}
	if line.Text != strings.Repeat("x", 5000) || strings.Count(line.HTML, ">x<") != 256 {
		t.Error("text was lost")
	}
}

func TestUnendedStringIsBounded(t *testing.T) {
	pieces := []string{"\x1b]8;;"}
	for range 1000 {
		pieces = append(pieces, strings.Repeat("x", 1000))
	}
	lines := fold(append(pieces, "\x07a\n")...)
	if len(lines) != 1 || lines[0].HTML != "a" {
		t.Errorf("%+v", lines)
	}
}

// Two streams share the numbering but not the cursor.
func TestStreams(t *testing.T) {
	var j view.Job
	for i, o := range []play.Output{
		{Vertex: "a", Stream: 1, Data: "out "}, {Vertex: "a", Stream: 2, Data: "err\r"}, {Vertex: "b", Stream: 1, Data: "other\n"},
		{Vertex: "a", Stream: 1, Data: "more\n"}, {Vertex: "a", Stream: 2, Data: "ERR"},
	} {
		j.Apply(play.Event{Seq: int64(i + 1), Fact: o})
	}
	var got []string
	for _, l := range j.Lines(0, 0) {
		got = append(got, fmt.Sprintf("%d %s %d %s %t", l.N, l.Vertex, l.Stream, l.Text, l.Open))
	}
	want := []string{"1 a 1 out more false", "2 a 2 ERR true", "3 b 1 other false"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if c := j.Changed(3); len(c.Lines) != 2 || c.Lines[0].N != 1 || c.Lines[1].N != 2 {
		t.Errorf("changed since 3: %+v", c.Lines)
	}
	if rest := j.Lines(1, 1); len(rest) != 1 || rest[0].N != 2 {
		t.Errorf("lines after 1: %+v", rest)
	}
}
