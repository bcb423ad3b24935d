package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/chromedp/chromedp"
)

// page measures the first load of the editor page.
func (b *bench) page(ctx context.Context) error {
	if err := b.weight(ctx); err != nil {
		return err
	}
	return b.lighthouse(ctx)
}

// weight counts the bytes that a browser fetches for it.
func (b *bench) weight(ctx context.Context) error {
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox)...)
	defer stop()
	ctx, leave := chromedp.NewContext(ctx)
	defer leave()
	if err := chromedp.Do(ctx, chromedp.Navigate(b.site.base+"/")); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // what its scripts ask for after the load
	fetched, err := chromedp.Run(ctx, chromedp.Evaluate[[]struct {
		Kind     string `json:"kind"`
		Zipped   int64  `json:"zipped"`
		Unzipped int64  `json:"unzipped"`
	}](`["navigation", "resource"].flatMap(t => performance.getEntriesByType(t)).map(e =>
		({kind: e.initiatorType, zipped: e.encodedBodySize, unzipped: e.decodedBodySize}))`))
	if err != nil {
		return err
	}
	var zipped, unzipped int64
	for _, f := range fetched {
		zipped, unzipped = zipped+f.Zipped, unzipped+f.Unzipped
	}
	b.add(row{
		what: "first load of the editor page", measured: fmt.Sprintf("%s in %d answers", kilobytes(zipped), len(fetched)),
		baseline: "unzipped " + kilobytes(unzipped), ratio: float64(zipped) / float64(unzipped),
		bar: "≤ 200 KB", met: zipped <= 200_000,
	})
	return nil
}

// lighthouse asks Google's judge, which npm fetches for the occasion.
func (b *bench) lighthouse(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "slipway-lighthouse-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := b.quiet(ctx, "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund", "lighthouse@13.5.0"); err != nil {
		b.note("no Lighthouse: npm could not fetch it: %v", err)
		return nil
	}
	report := filepath.Join(dir, "report.json")
	err = b.quiet(ctx, filepath.Join(dir, "node_modules", ".bin", "lighthouse"), b.site.base+"/", "--quiet",
		"--only-categories=performance,accessibility", "--output=json", "--output-path="+report,
		"--chrome-flags=--headless=new --no-sandbox")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	var r struct {
		Categories map[string]struct{ Score float64 }
		Audits     map[string]struct{ DisplayValue string }
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	for _, name := range []string{"performance", "accessibility"} {
		score := 100 * r.Categories[name].Score
		b.add(row{what: "Lighthouse, " + name, measured: fmt.Sprintf("%.0f", score), bar: "≥ 95", met: score >= 95})
	}
	b.note("Lighthouse 13.5.0, its simulated slow phone: first paint %s, largest %s, blocked %s, shift %s", r.Audits["first-contentful-paint"].DisplayValue,
		r.Audits["largest-contentful-paint"].DisplayValue, r.Audits["total-blocking-time"].DisplayValue, r.Audits["cumulative-layout-shift"].DisplayValue)
	return nil
}
