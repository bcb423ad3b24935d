// Command fetch prints what an https address answers. It trusts what the environment says, as most programs do.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	res, err := http.Get(os.Args[1])
	if err == nil {
		_, err = io.Copy(os.Stdout, res.Body)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
