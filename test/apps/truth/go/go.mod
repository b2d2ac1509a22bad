module backstitch.test/truth

go 1.18
