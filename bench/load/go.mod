module backstitch/bench/load

go 1.19
