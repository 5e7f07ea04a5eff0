package fetch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// serveFile answers a request for a file: address like a plain web server:
// 200, 206 for a range, 304, 404. Only regular files are served.
func serveFile(r *http.Request) (*http.Response, error) {
	file, err := os.OpenFile(r.URL.Path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return answer(r, http.StatusNotFound), nil
	}
	if err != nil {
		return nil, &localError{err}
	}
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, &localError{fmt.Errorf("%s is not a regular file", r.URL.Path)}
	}
	if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil && !st.ModTime().Truncate(time.Second).After(since) {
		file.Close()
		return answer(r, http.StatusNotModified), nil
	}
	return rangeOf(r, file, st)
}

// rangeOf answers with the file from the offset that the request asks for.
func rangeOf(r *http.Request, file *os.File, st fs.FileInfo) (*http.Response, error) {
	response := answer(r, http.StatusOK)
	start := int64(0)
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		n, err := strconv.ParseInt(strings.TrimSuffix(from, "-"), 10, 64)
		if err != nil || n < 0 || n >= st.Size() {
			file.Close()
			return answer(r, http.StatusRequestedRangeNotSatisfiable), nil
		}
		start = n
		response = answer(r, http.StatusPartialContent)
		response.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", n, st.Size()-1, st.Size()))
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		file.Close()
		return nil, &localError{err}
	}
	response.Body, response.ContentLength = file, st.Size()-start
	response.Header.Set("Last-Modified", st.ModTime().UTC().Format(http.TimeFormat))
	return response, nil
}

func answer(r *http.Request, code int) *http.Response {
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}
}
