package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"liked/internal/admin"
	"liked/internal/journal"
)

// plots are two pictures of what happened since the server started, drawn here.
type plots struct {
	None     bool // nothing is counted: the journal is off
	Since    time.Time
	Calls    int64
	Statuses []bar
	Likes    int64
	Curve    string // path of the likes, in a box of Width by 100
	Width    int    // intervals
	Most     string // likes a second
	Now      string // likewise, in the last whole interval
}

// bar is how many calls had a status.
type bar struct {
	Status int // 0: there was no answer
	Class  int
	Calls  int64
	Width  string // per cent of the longest
}

func (c *call) fillPlots(p *controlPage) error {
	counts, err := get[journal.Counts](c, "/admin/requests/counts", nil)
	if refused, ok := errors.AsType[*admin.Refusal](err); ok && refused.Status == http.StatusNotFound {
		p.Plots.None = true
		return nil
	}
	p.Plots = draw(counts)
	return err
}

func draw(counts journal.Counts) plots {
	p := plots{Since: counts.Since}
	longest := 1
	for text, n := range counts.Statuses {
		status, _ := strconv.Atoi(text)
		p.Statuses = append(p.Statuses, bar{Status: status, Class: status / 100, Calls: int64(n)})
		p.Calls += int64(n)
		longest = max(longest, n)
	}
	slices.SortFunc(p.Statuses, func(a, b bar) int { return a.Status - b.Status })
	for i, b := range p.Statuses {
		p.Statuses[i].Width = strconv.FormatFloat(max(100*float64(b.Calls)/float64(longest), 0.5), 'f', 1, 64)
	}
	whole := counts.Likes
	for _, n := range whole {
		p.Likes += int64(n)
	}
	if len(whole) > 1 {
		whole = whole[:len(whole)-1] // the last one goes on
	}
	if len(whole) == 0 {
		return p
	}
	most := slices.Max(whole)
	var path strings.Builder
	path.WriteString("M0 100")
	for _, n := range whole {
		fmt.Fprintf(&path, "V%.1fh1", 100-100*float64(n)/float64(max(most, 1)))
	}
	path.WriteString("V100Z")
	p.Curve, p.Width = path.String(), len(whole)
	p.Most, p.Now = rate(most, counts.Seconds), rate(whole[len(whole)-1], counts.Seconds)
	return p
}

// rate is likes a second, with as many digits as matter.
func rate(n, seconds int) string {
	perSecond := float64(n) / float64(max(seconds, 1))
	digits := 0
	if perSecond < 10 && perSecond != float64(int(perSecond)) {
		digits = 1
	}
	return strconv.FormatFloat(perSecond, 'f', digits, 64)
}
