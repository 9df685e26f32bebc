#include <math.h>
#include <stdio.h>
#include <stdlib.h>
long double f(long double a, int n, long double b){ return powl(a,b)+sqrtl(fabsl(a))*n - fmodl(a,b) + ldexpl(b,n); }
long double g(const char*s){ return strtold(s,0); }
int main(int c,char**v){ printf("%Lf %.3Lg %d\n", f(2.5L+c,3,1.5L), g("12.75"), (int)floorl(g("7.9"))); long double m; int e; m=frexpl(g("100"),&e); printf("%Lf %d %ld\n",m,e,lrintl(g("2.6"))); return 0;}
