// SPDX-License-Identifier: Apache-2.0
// What the look-ups in stripped Go programs look for. Does its work once for each line on stdin.
package main

import (
	"bufio"
	"fmt"
	"os"
)

type basket struct{ count int }

//go:noinline
func (b *basket) total(price int) int {
	return b.count * price
}

//go:noinline
func sell(amount int) int {
	return amount * 2
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	own := &basket{count: 3}
	for lines.Scan() {
		fmt.Println("done", sell(21)+own.total(2))
	}
}
