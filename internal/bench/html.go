package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

//go:embed report.html
var page string

// WriteHTML writes the run as a page that needs nothing else: the figures, successes over time and latency by percentile.
func (r *Run) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	type row struct {
		Turn    int
		Name    string
		Colour  string
		Callers int
		Result
	}
	type line struct {
		Name, Colour string
		Summary
	}
	data := struct {
		*Run
		Lines           []line
		Rows            []row
		OverTime, Tails template.HTML
		Failed          string
	}{Run: r}
	if err := r.Failures(); err != nil {
		data.Failed = err.Error()
	}
	var rates, tails []curve
	for i, name := range r.Subjects {
		colour := palette[i%len(palette)]
		data.Lines = append(data.Lines, line{name, colour, r.Summary[name]})
		tail, err := r.tail(name)
		if err != nil {
			return err
		}
		rates = append(rates, curve{name, colour, r.successes(name)})
		tails = append(tails, curve{name, colour, tail})
	}
	for i, turn := range r.Turns {
		for j, name := range r.Subjects {
			data.Rows = append(data.Rows, row{i + 1, name, palette[j%len(palette)], r.Callers[name], turn[name]})
		}
	}
	data.OverTime = plot(rates, linear("s", 0, r.Seconds*float64(len(r.Turns))), linear("/s", 0, highestY(rates)))
	nines := axis{unit: "", at: func(p float64) float64 { return -math.Log10(1-p/100) / 5 }}
	for _, p := range []float64{0, 90, 99, 99.9, 99.99, 99.999} {
		nines.ticks = append(nines.ticks, tick{p, fmt.Sprintf("%g %%", p)})
	}
	data.Tails = plot(tails, nines, logarithmic("µs", max(1, lowestY(tails)), highestY(tails)))
	return t.Execute(w, data)
}

var palette = [...]string{"#1f6feb", "#d1495b", "#2a9d4e", "#b8860b", "#7b4fc9", "#0b8a8a", "#c2571a", "#555555"} // never changes

type point struct{ x, y float64 }

type curve struct {
	name, colour string
	points       []point
}

// successes are those of a subject in a second, over the turns as if they had followed each other.
func (r *Run) successes(name string) (points []point) {
	width := r.Seconds / hundredths
	for i, turn := range r.Turns {
		over := turn[name].Over
		for j := 0; j+4 <= min(len(over), hundredths); j += 4 { // fewer, and less jagged
			var n int64
			for _, v := range over[j : j+4] {
				n += v
			}
			points = append(points, point{float64(i)*r.Seconds + float64(j+2)*width, float64(n) / (4 * width)})
		}
	}
	return points
}

// tail is the latency of a subject by percentile, over all turns.
func (r *Run) tail(name string) (points []point, err error) {
	all := newHistogram()
	for _, turn := range r.Turns {
		h, err := hdrhistogram.Decode([]byte(turn[name].HDR))
		if err != nil {
			return nil, fmt.Errorf("%s: its histogram cannot be read: %w", name, err)
		}
		all.Merge(h)
	}
	if all.TotalCount() == 0 {
		return nil, nil
	}
	for left := 100.0; left >= 0.001 && left*float64(all.TotalCount()) >= 100; left /= 1.25 { // to the last call there is
		points = append(points, point{100 - left, float64(all.ValueAtQuantile(100 - left))})
	}
	return points, nil
}

func highestY(curves []curve) float64 {
	y := 1.0
	for _, c := range curves {
		for _, p := range c.points {
			y = max(y, p.y)
		}
	}
	return y
}

func lowestY(curves []curve) float64 {
	y := math.Inf(1)
	for _, c := range curves {
		for _, p := range c.points {
			y = min(y, p.y)
		}
	}
	return y
}

// axis maps values to 0 to 1.
type axis struct {
	unit  string
	at    func(float64) float64
	ticks []tick
}

type tick struct {
	value float64
	text  string
}

// linear has ticks at round numbers.
func linear(unit string, from, to float64) axis {
	a := axis{unit: unit, at: func(v float64) float64 { return (v - from) / (to - from) }}
	step := math.Pow(10, math.Floor(math.Log10(to-from)))
	for (to-from)/step < 4 {
		step /= 2
	}
	for v := from; v <= to; v += step {
		a.ticks = append(a.ticks, tick{v, short(v)})
	}
	return a
}

// logarithmic has ticks at 1, 2 and 5 times the powers of ten.
func logarithmic(unit string, from, to float64) axis {
	from, to = math.Log10(from), math.Log10(to*1.05)
	a := axis{unit: unit, at: func(v float64) float64 { return (math.Log10(v) - from) / max(to-from, .1) }}
	for e := math.Floor(from); e <= to; e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); math.Log10(v) >= from && math.Log10(v) <= to {
				a.ticks = append(a.ticks, tick{v, short(v)})
			}
		}
	}
	return a
}

func short(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%gk", math.Round(v/10)/100)
	}
	return fmt.Sprintf("%g", v)
}

// plot draws curves as SVG.
func plot(curves []curve, x, y axis) template.HTML {
	const width, height, left, bottom, right, top = 900, 320, 60, 30, 40, 12
	px := func(v float64) float64 { return left + x.at(v)*(width-left-right) }
	py := func(v float64) float64 { return height - bottom - y.at(v)*(height-bottom-top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img">`, width, height)
	for _, t := range y.ticks {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" class="grid"/>`, left, py(t.value), width-right)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, left-6, py(t.value)+4, t.text)
	}
	for _, t := range x.ticks {
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" class="grid"/>`, px(t.value), top, height-bottom)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, px(t.value), height-10, t.text)
	}
	fmt.Fprintf(&b, `<text x="4" y="%d">%s</text>`, top+4, y.unit)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, width-2, height-10, x.unit)
	for _, c := range slices.Backward(curves) { // the first is what the others are measured against: on top
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.6" points="`, c.colour)
		for _, p := range c.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(p.x), py(p.y))
		}
		fmt.Fprintf(&b, `"><title>%s</title></polyline>`, template.HTMLEscapeString(c.name))
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}
